/**
 * Watches who has the office of the job runner, as the status tells, and how soon one that was struck is succeeded: while the
 * other runner, brokers, sink and database are well. So it ends with the storm, after which the sink is killed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultPlan } from './fault-book.ts';

export interface OfficeWatch {
  /** The runner at `url` was killed or stopped just now. */
  struck(url: string, plan: FaultPlan): void;
  stop(): Promise<{ readonly note: string; readonly violations: readonly string[] }>;
}

interface Runner {
  readonly host: string;
  readonly since: string;
}

const longestMs = 10_000;

export function watchOffice(queryApiUrl: () => string): OfficeWatch {
  let [isOver, terms] = [false, 0];
  let seen: Runner | undefined;
  /** Since then nobody who is known to be well has the office. */
  let struckAt: { readonly at: number; readonly by: string } | undefined;
  const took: { readonly ms: number; readonly by: string }[] = [];
  const look = async () => {
    const answer = await fetch(`${queryApiUrl()}/v1/status`, { signal: AbortSignal.timeout(2_000) });
    const { job_runner } = (await answer.json()) as { job_runner: Runner | null };
    if (job_runner === null || job_runner.since === seen?.since) return;
    seen = job_runner;
    terms++;
    // Whoever was announced before has not succeeded the one that was struck.
    if (struckAt === undefined || Date.parse(seen.since) < struckAt.at) return;
    took.push({ ms: Date.now() - struckAt.at, by: struckAt.by });
    struckAt = undefined;
  };
  const running = (async () => {
    while (!isOver) {
      await look().catch(() => undefined);
      await sleep(50);
    }
  })();
  return {
    struck(url, { step, action }) {
      const isInOffice = seen?.host.endsWith(`:${new URL(url).port}`);
      // Who waits for the lease is succeeded by nobody (all other step-points are those of who has it); and while it is away,
      // nobody is there who could succeed the other: that time says nothing.
      if (step.endsWith('anywhere') && !isInOffice) {
        struckAt = undefined;
        return;
      }
      // A second blow meanwhile strikes the successor: what counts begins with it.
      struckAt = { at: Date.now(), by: `${action} at "${step}"` };
    },
    async stop() {
      isOver = true;
      await running;
      const sorted = took.map(({ ms }) => ms).sort((a, b) => a - b);
      const seconds = (ms: number | undefined) => `${((ms ?? 0) / 1_000).toFixed(1)} s`;
      const note = `${terms} terms of office; after a blow the next was visible within ${seconds(sorted[sorted.length >> 1])} (median), ${seconds(sorted.at(-1))} at most, of ${sorted.length}`;
      const late = took.filter(({ ms }) => ms > longestMs).map(({ ms, by }) => `${seconds(ms)} after ${by}`);
      const violations =
        late.length === 0 ? [] : [`I12 a successor within ${seconds(longestMs)}: ${late.slice(0, 5).join('; ')}`];
      return { note, violations };
    },
  };
}
