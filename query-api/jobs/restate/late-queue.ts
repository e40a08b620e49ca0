/**
 * Decides in which order late minutes are restated when there are more than one job takes.
 *
 * Restating a minute costs the same for one late click as for thousands, and anybody can send one late click to each of
 * ten thousand minutes. So a job takes a limited number of minutes. Which minutes come next is decided like this:
 *
 * - The ads take turns. The waiting minutes of an ad are numbered in the order in which their first late clicks
 *   arrived. The place of a minute is its lowest number among all its ads. So the first minute of one ad comes before
 *   the second minute of any other ad. Ads take turns, and not clients, because a click does not say who has posted it.
 * - Of minutes with the same place, the one that has waited longest and the one with the most late clicks come
 *   alternately. Without the first, some minutes would wait forever. Without the second, a client that scatters single
 *   clicks over many ads and minutes would delay a client whose connection was down and whose many clicks came late.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { messageOf } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import { type LateMinute, readWaitingMinutes, type WaitingMinute } from '../../store/jobs/late-minute-rows.ts';

export interface LateQueue {
  /** Returns, of the minutes that are due, those that the next job takes. */
  next(due: readonly LateMinute[]): Promise<LateMinute[]>;
}

export interface LateQueueOptions {
  readonly clickhouse: ClickHouse;
  /** Milliseconds of a clock that does not go back. */
  readonly clock?: () => number;
  readonly log: Logger;
  readonly timeoutMs?: number;
  readonly minutesPerJob?: number;
}

export function createLateQueue(options: LateQueueOptions): LateQueue {
  const { clickhouse, clock = () => performance.now(), log, timeoutMs = 30_000, minutesPerJob = 120 } = options;
  let order = new Map<number, number>();
  let orderedUntil = Number.NEGATIVE_INFINITY;

  const find = async (minutes: readonly number[]) => {
    const begun = clock();
    order = new Map(fairOrder(await readWaitingMinutes(clickhouse, minutes, timeoutMs)).map((m, i) => [m, i]));
    // When finding the order takes long, several jobs use the same order. Minutes that come in the meantime go last.
    orderedUntil = clock() + 10 * (clock() - begun);
  };

  return {
    async next(due) {
      const minutes = [...new Set(due.map(({ minute }) => minute))].sort((a, b) => a - b);
      if (minutes.length <= minutesPerJob) return [...due];
      if (clock() >= orderedUntil) {
        try {
          await find(minutes);
        } catch (error) {
          // The minutes are restated even if the order is unfair.
          log.warn(
            { why: messageOf(error) },
            'no fair order of late minutes found: they are restated in order of time',
          );
        }
      }
      const placeOf = (minute: number) => order.get(minute) ?? Number.MAX_SAFE_INTEGER;
      minutes.sort((a, b) => placeOf(a) - placeOf(b) || a - b);
      const taken = new Set(minutes.slice(0, minutesPerJob));
      return due.filter(({ minute }) => taken.has(minute));
    },
  };
}

/** Returns the minutes in the order in which they are restated. Pure. */
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
