/**
 * Says for how long an open transaction has held back the readers of a partition. Records behind its first record cannot
 * be read before it ends, whoever has written them, so neither counts nor results of jobs come into the store, while
 * nothing fails. The lag of the sinks does not show it, because it ends where they can read.
 *
 * Our own transactions take a fraction of a second, and the end of what can be read moves with each of them. So what
 * counts is how long that end has stood still with records behind it.
 */
import { gauge } from '../../infra/metrics.ts';
import type { HighWatermarks, SinkPosition } from '../log/counted-log.ts';

type Reached = Pick<SinkPosition, 'topic' | 'partition' | 'end'>;

export interface OpenTransactions {
  /** `reached` is the end of what can be read, and was asked before `ends`. `now`: ms of a clock that does not go back. */
  see(reached: readonly Reached[], ends: HighWatermarks, now: number): void;
  forget(): void;
}

export function createOpenTransactions(): OpenTransactions {
  let standing = new Map<string, { readonly end: number; readonly since: number }>();
  return {
    see(reached, ends, now) {
      openTransaction.reset();
      const still: typeof standing = new Map();
      for (const { topic, partition, end } of reached) {
        const written = ends.get(topic)?.get(partition);
        if (written === undefined) continue;
        const [key, labels] = [`${topic}[${partition}]`, { topic, partition }];
        const before = standing.get(key);
        const since = before?.end === end ? before.since : now;
        if (written > end) still.set(key, { end, since });
        openTransaction.set(labels, written > end ? (now - since) / 1_000 : 0);
      }
      standing = still;
    },
    forget: () => openTransaction.reset(),
  };
}

const openTransaction = gauge(
  'open_transaction_seconds',
  'For how long a transaction has been open that keeps the sinks from the records behind it; 0 if there is none',
  ['topic', 'partition'],
);
