/**
 * Finds minutes that have late clicks which no recount has counted yet (`late-clicks.ts`: the rows alone tell), and says
 * which of them to recount now: when no more came for a while, or some have waited for long. Lines are counted by the day
 * they arrived, and looked for over as many days as the log keeps: nothing older can still come in.
 *
 * A job that is open only holds its lines, so that they are not recounted twice at a time, and one that has failed does
 * so for a pause, so that a job which always fails neither runs without end nor is forgotten.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import type { JobEntry } from '../../log/job-log.ts';
import { type LateMinute, readUncountedMinutes, type UncountedMinute } from '../../store/jobs/late-minute-rows.ts';

export interface LateMinutes {
  /** Those to recount now, which no job holds. `finalUntil` and `rawSince` bound what can be recounted. */
  due(finalUntil: number, rawSince: number): Promise<LateMinute[]>;
  /** Whether there were any when `due` was called last: also such as are not due yet, or held by a job. */
  readonly areAny: boolean;
  /** All that are not counted but will be soon, of minutes in [from, to): without those of a job that has just failed. */
  pending(from: number, to: number): Promise<LateMinute[]>;
  /** What says that they are part of a job now; of rows that say the same number of lines the last one holds. */
  taken(minutes: readonly LateMinute[], job: string): JobEntry;
}

export interface LateMinutesOptions {
  readonly clickhouse: ClickHouse;
  readonly now: () => number;
  readonly timeoutMs: number;
  readonly quietMs?: number;
  readonly longestWaitMs?: number;
  /** After a job has failed. */
  readonly pauseMs?: number;
}

export function createLateMinutes(options: LateMinutesOptions): LateMinutes {
  const { clickhouse, now, timeoutMs, quietMs = 10_000, longestWaitMs = 60_000, pauseMs = 600_000 } = options;
  const waiting = new Map<string, { lines: number; since: number; changedAt: number }>();
  const keyOf = ({ day, minute }: LateMinute) => `${day} ${minute}`;

  const uncounted = (from: number, to: number) => readUncountedMinutes(clickhouse, { from, to }, now(), timeoutMs);
  const hasFailedLately = ({ state, updated_at }: UncountedMinute) =>
    state === 'failed' && updated_at > now() - pauseMs;
  /** Lines beyond those that a job took belong to nobody. */
  const isHeld = (late: UncountedMinute) =>
    late.lines <= late.taken_lines && (late.state === 'queued' || late.state === 'running' || hasFailedLately(late));

  let areAny = false;
  return {
    get areAny() {
      return areAny;
    },
    async pending(from, to) {
      const found = await uncounted(from, to);
      return found.filter(late => !(isHeld(late) && hasFailedLately(late))).map(lateMinuteOf);
    },
    async due(finalUntil, rawSince) {
      const at = now();
      const all = await uncounted(rawSince, finalUntil);
      areAny = all.length > 0;
      const found = all.filter(late => !isHeld(late)).map(lateMinuteOf);
      const keys = new Set(found.map(keyOf));
      for (const key of waiting.keys()) if (!keys.has(key)) waiting.delete(key);
      return found.filter(late => {
        const known = waiting.get(keyOf(late)) ?? { lines: 0, since: at, changedAt: at };
        if (known.lines !== late.lines) known.changedAt = at;
        known.lines = late.lines;
        waiting.set(keyOf(late), known);
        return at - known.changedAt >= quietMs || at - known.since >= longestWaitMs;
      });
    },
    taken(minutes, job) {
      const at = Math.floor(now() / 1_000);
      for (const minute of minutes) waiting.delete(keyOf(minute));
      const rows = minutes.map(({ day, minute, lines }) => ({
        day: dateOf(day),
        minute: minute / 1_000,
        lines,
        job,
        at,
      }));
      return { kind: 'minute-recount', rows };
    },
  };
}

/** Never fewer lines than were taken before: of two rows of a minute the one with more holds, and that is to be the new job's. */
function lateMinuteOf({ day, minute, lines, taken_lines }: UncountedMinute): LateMinute {
  return { day, minute, lines: Math.max(lines, taken_lines) };
}

const dayMs = 86_400_000;

function dateOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}
