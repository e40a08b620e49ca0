/**
 * Finds minutes with late clicks that no recount has counted yet, and decides which of them to recount now: when no
 * more such clicks have come for a while, or when some have waited long. Whether a click is counted follows from the
 * rows alone (`late-clicks.ts`). Lines are counted by the day of their arrival, over as many days as the log keeps,
 * because nothing older can still arrive.
 *
 * A job that is open holds the lines that it was made for, so that no second job recounts them at the same time. A job
 * that has failed holds them for a pause. So a job that always fails does not run all the time, and its lines are not
 * forgotten.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import type { JobEntry } from '../../log/job-log.ts';
import { type LateMinute, readUncountedMinutes, type UncountedMinute } from '../../store/jobs/late-minute-rows.ts';
import { isPaused } from '../stated-moments.ts';

export interface LateMinutes {
  /** Returns the minutes in [rawSince, finalUntil) to recount now. No job holds them. */
  due(finalUntil: number, rawSince: number): Promise<LateMinute[]>;
  /**
   * Whether the last call of `due` has found any late minutes, including those that are not due yet or held by a job.
   */
  readonly areAny: boolean;
  /**
   * Returns the minutes in [from, to) whose late clicks will be counted soon. Minutes of a job that has just failed are
   * not among them.
   */
  pending(from: number, to: number): Promise<LateMinute[]>;
  /**
   * Returns the entry that records that a job holds these minutes. Of several rows with the same number of lines, the
   * last one is valid.
   */
  taken(minutes: readonly LateMinute[], job: string): JobEntry;
}

export interface LateMinutesOptions {
  readonly clickhouse: ClickHouse;
  readonly now: () => number;
  /** Milliseconds of a clock that does not go back. */
  readonly clock?: () => number;
  readonly timeoutMs: number;
  readonly quietMs?: number;
  readonly longestWaitMs?: number;
  /** The pause after a job has failed. */
  readonly pauseMs?: number;
}

export function createLateMinutes(options: LateMinutesOptions): LateMinutes {
  const { clickhouse, now, clock = () => performance.now(), timeoutMs } = options;
  const { quietMs = 10_000, longestWaitMs = 60_000, pauseMs = 600_000 } = options;
  const waiting = new Map<string, { lines: number; since: number; changedAt: number }>();
  const keyOf = ({ day, minute }: LateMinute) => `${day} ${minute}`;

  const uncounted = (from: number, to: number) => readUncountedMinutes(clickhouse, { from, to }, now(), timeoutMs);
  const hasFailedLately = ({ state, updated_at }: UncountedMinute) =>
    state === 'failed' && isPaused(pauseMs, updated_at, now());
  /** Further lines, which came after the job was made, are not held by it. */
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
      const at = clock();
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

/**
 * Never returns fewer lines than a former job has recorded. Of two rows of a minute the one with more lines is valid,
 * and that must be the row of the new job.
 */
function lateMinuteOf({ day, minute, lines, taken_lines }: UncountedMinute): LateMinute {
  return { day, minute, lines: Math.max(lines, taken_lines) };
}

const dayMs = 86_400_000;

function dateOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}
