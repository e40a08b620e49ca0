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
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { statement } from '../../../infra/clickhouse/sql.ts';
import { messageOf } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import { settingsOf } from '../../store/sql/read-settings.ts';
import { minuteMs } from '../../time/time-range.ts';
import type { LateMinute } from './late-minutes.ts';

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
    order = new Map(
      fairOrder(await clickhouse.query<WaitingMinute>(...waitingSql(minutes, timeoutMs))).map((m, i) => [m, i]),
    );
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

export interface WaitingMinute {
  /** Epoch ms. */
  readonly minute: number;
  /** Among the waiting minutes of one of its ads; 1 is the first. */
  readonly place: number;
  readonly lines: number;
  /** When the first of them came in, epoch ms. */
  readonly since: number;
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

/**
 * `minutes` in order. They are sent as a mark for each minute from the first to the last: at most one for every minute
 * that raw is kept for, where their numbers might be more than a server takes.
 */
function waitingSql(minutes: readonly number[], timeoutMs: number): ReturnType<typeof statement> {
  const [first = 0, last = 0] = [minutes[0], minutes.at(-1)];
  const marked = new Set(minutes);
  const marks = Array.from({ length: (last - first) / minuteMs + 1 }, (_, i) =>
    marked.has(first + i * minuteMs) ? 1 : 0,
  );
  return statement`SELECT minute, min(place) AS place, sum(lines) AS lines, toUnixTimestamp64Milli(min(came)) AS since
    FROM (
      SELECT minute, lines, came, row_number() OVER (PARTITION BY ad_id ORDER BY came, minute) AS place
      FROM (
        SELECT intDiv(clicked_at, ${minuteMs}) * ${minuteMs} AS minute, ad_id, count() AS lines, min(appended_at) AS came
        FROM ${sharded('quarantine')} FINAL
        WHERE reason = 'too_late' AND clicked_at >= ${first} AND clicked_at < ${last + minuteMs}
          AND substring(${marks.join('')}, intDiv(clicked_at - ${first}, ${minuteMs}) + 1, 1) = '1'
        GROUP BY minute, ad_id
      )
    )
    GROUP BY minute
    ${settingsOf(minutes.length, timeoutMs, spilling)}`;
}

const spilling = { max_bytes_before_external_group_by: 268_435_456, max_bytes_before_external_sort: 268_435_456 };
