/** Waits until every node has read the log as far as the furthest node had read it at the beginning of the wait. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Retryable } from '../../../infra/errors.ts';
import type { NodePosition } from '../../log/counted-log.ts';

export interface LevelDeps {
  readonly positions: () => Promise<readonly NodePosition[]>;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** @throws Retryable when a node does not come that far in time */
export async function untilLevel({ positions, signal, timeoutMs = 60_000 }: LevelDeps): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  const furthest = new Map<string, number>();
  for (const at of await positions()) furthest.set(keyOf(at), Math.max(at.position, furthest.get(keyOf(at)) ?? 0));
  for (;;) {
    const behind = (await positions()).find(at => at.position < (furthest.get(keyOf(at)) ?? 0));
    if (behind === undefined) return;
    if (performance.now() > deadline)
      throw new Retryable(
        `${behind.node} is behind in ${keyOf(behind)}: at ${behind.position} of ${furthest.get(keyOf(behind))}`,
      );
    await sleep(500, undefined, { signal });
  }
}

function keyOf({ topic, partition }: NodePosition): string {
  return `${topic}[${partition}]`;
}
