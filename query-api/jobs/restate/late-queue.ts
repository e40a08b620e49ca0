/**
 * In which order late minutes are restated, where they are more than one job takes.
 *
 * To restate a minute costs the same for one late click as for thousands, and anybody can send one late click to each of
 * ten thousand minutes. So a job takes a bounded number of minutes, and of those that wait the next ones are found thus:
 *
 * - The ads go round. A minute's place is the best that it has among the waiting minutes of any of its ads, where an ad's minutes
 *   stand in the order in which their clicks came in: whoever has one late minute goes before the second minute of
 *   anybody else. An ad is what there is to tell clients apart by: a click does not say who posted it.
 * - Of equal place, the minutes come alternately by how long they have waited and by how many late clicks they hold. By the first, none
 *   waits for ever. By the second, whoever scatters single clicks over as many ads as minutes does not stand before those who
 *   have lost many to a break in their connection.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { messageOf } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import { type LateMinute, readWaitingMinutes, type WaitingMinute } from '../../store/jobs/late-minute-rows.ts';

export interface LateQueue {
  /** Of those that are due, all of the next minutes. */
  next(due: readonly LateMinute[]): Promise<LateMinute[]>;
}

export interface LateQueueOptions {
  readonly clickhouse: ClickHouse;
  readonly now: () => number;
  readonly log: Logger;
  readonly timeoutMs?: number;
  readonly minutesPerJob?: number;
}

export function createLateQueue(options: LateQueueOptions): LateQueue {
  const { clickhouse, now, log, timeoutMs = 30_000, minutesPerJob = 120 } = options;
  let order = new Map<number, number>();
  let orderedUntil = 0;

  const find = async (minutes: readonly number[]) => {
    const begun = performance.now();
    order = new Map(fairOrder(await readWaitingMinutes(clickhouse, minutes, timeoutMs)).map((m, i) => [m, i]));
    // Several jobs go by one order where it takes long to find; minutes that come meanwhile stand behind.
    orderedUntil = now() + 10 * (performance.now() - begun);
  };

  return {
    async next(due) {
      const minutes = [...new Set(due.map(({ minute }) => minute))].sort((a, b) => a - b);
      if (minutes.length <= minutesPerJob) return [...due];
      if (now() >= orderedUntil) {
        try {
          await find(minutes);
        } catch (error) {
          // An unfair order is better than none: what is due is restated all the same.
          log.warn({ why: messageOf(error) }, 'late minutes are restated in the order of time');
        }
      }
      const placeOf = (minute: number) => order.get(minute) ?? Number.MAX_SAFE_INTEGER;
      minutes.sort((a, b) => placeOf(a) - placeOf(b) || a - b);
      const taken = new Set(minutes.slice(0, minutesPerJob));
      return due.filter(({ minute }) => taken.has(minute));
    },
  };
}

/** Pure: minutes, the next one first. */
export function fairOrder(waiting: readonly WaitingMinute[]): number[] {
  const byWait = [...waiting].sort((a, b) => a.place - b.place || a.since - b.since || a.minute - b.minute);
  const byLines = [...waiting].sort((a, b) => a.place - b.place || b.lines - a.lines || a.minute - b.minute);
  const order = new Set<number>();
  for (const [i, { minute }] of byWait.entries()) {
    order.add(minute);
    order.add(byLines[i]?.minute ?? minute);
  }
  return [...order];
}
