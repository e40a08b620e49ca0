/**
 * One fault at a time: it strikes under load, lasts, is healed, and the next comes when all replicas are in sync again
 * and each partition is led by its preferred broker. What was led by whom when it struck is kept for the figures.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterStage } from './stage.ts';

export interface Strike {
  readonly kind: string;
  /** What it struck, for people. */
  readonly what: string;
  /** Epoch ms. */
  readonly at: number;
  /** The fault was taken away: from here on things only come back. */
  readonly healedAt: number;
  /** All was in sync again. */
  readonly until: number;
  /** Partitions of `clicks` that stood on what was struck. */
  readonly fallen: ReadonlySet<number>;
  /** From here until `healedAt` no click may have been acknowledged. */
  readonly mustRefuseFrom?: number;
}

export interface StrikePlan {
  readonly kind: string;
  readonly what: string;
  /** Undefined: nobody's partitions, or everybody's. */
  readonly broker?: number;
  readonly isEverybody?: boolean;
  readonly lastsMs: number;
  /** Resolves to when it struck. */
  strike(): Promise<number>;
  heal(): Promise<void>;
  /** Once it is there: resolves when nothing may be acknowledged any more. */
  refuses?(): Promise<void>;
}

const settleMs = 3_000;
const syncTimeoutMs = 90_000;

export async function strike(stage: ClusterStage, plan: StrikePlan, say: (line: string) => void): Promise<Strike> {
  const { cluster, names, topics, partitions } = stage;
  const states = await cluster.control.describe([names.topic('clicks')]);
  const fallen = plan.isEverybody
    ? new Set(Array.from({ length: partitions }, (_, partition) => partition))
    : new Set(states.filter(({ leader }) => leader === plan.broker).map(({ partition }) => partition));
  const at = await plan.strike();
  const over = sleep(plan.lastsMs);
  await plan.refuses?.();
  const mustRefuseFrom = plan.refuses === undefined ? undefined : Date.now();
  await over;
  const healedAt = Date.now();
  await plan.heal();
  await cluster.inSync(topics, syncTimeoutMs);
  await cluster.control.electPreferred(topics).catch(() => 0);
  await sleep(settleMs);
  say(`${plan.kind}: ${plan.what}, ${((Date.now() - at) / 1_000).toFixed(1)} s, ${stage.load.acked} clicks acked`);
  return {
    ...{ kind: plan.kind, what: plan.what, at, healedAt, until: Date.now(), fallen },
    ...(mustRefuseFrom === undefined ? {} : { mustRefuseFrom }),
  };
}
