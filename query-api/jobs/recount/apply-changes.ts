/**
 * Builds the content of one transaction of a recount, so that all changes of a minute become visible at once, or none:
 *
 * 1. The changes, for table `restatement`, each with the rows that replace those of `ad_minute`. Readers do not see
 *    them yet.
 * 2. One row of `recounted_minute` for each minute. From now on every reader sees all changes of the minute
 *    (`stated-rows.ts`), and the late clicks that the recount has read are counted (`late-clicks.ts`).
 * 3. The rows for `ad_minute`, and then the rows of `recounted_minute` once more, now as settled. Readers see no
 *    difference.
 *
 * A sink inserts them in this order (aggregator/job-records.ts), however its batches divide them. When a sink dies in
 * between, readers still see the right numbers, and the sink inserts the same rows again. When a job runner dies before
 * its commit, nothing is written.
 */
import { notJudged } from '../../../aggregator/ad-minute.ts';
import {
  type CellChange,
  type RecountedMinuteRow,
  type RestatedRow,
  type RestatementReason,
  type RestatementRow,
  versionOf,
} from '../../../aggregator/restatement.ts';
import type { JobEntry } from '../../log/job-log.ts';

export interface Restater {
  /**
   * Adds the changes of whole minutes. The late clicks of the minutes `recounted` (epoch ms) are then in the counts,
   * also if nothing has changed.
   */
  stage(changes: readonly CellChange[], recounted: readonly number[]): void;
  /** Returns, in order, the entries that make everything visible that was staged since the last call. */
  take(): JobEntry[];
}

export interface RestaterOptions {
  readonly job: string;
  readonly reason: RestatementReason;
  /** By partition of topic `clicks`: when the recount began to read, raw had all clicks before this offset. */
  readonly readUntil: ReadonlyMap<number, number>;
  /** Epoch ms. */
  readonly now: () => number;
}

export function createRestater({ job, reason, readUntil, now }: RestaterOptions): Restater {
  const read_until = Object.fromEntries(readUntil);
  let changes: CellChange[] = [];
  let minutes = new Set<number>();
  return {
    stage(found, recounted) {
      for (const change of found) changes.push(change);
      for (const minute of recounted) minutes.add(minute / 1_000);
    },

    take() {
      const at = momentAfter(now());
      const rows = changes.map((change): RestatementRow => ({ ...change, job, reason, at }));
      const cells = new Map([...minutes].map(minute => [minute, 0]));
      for (const { minute } of changes) cells.set(minute, (cells.get(minute) ?? 0) + 1);
      const recounted = [...cells].map(([minute, n]): RecountedMinuteRow => {
        return { minute, at, job, cells: n, read_until, settled: 0 };
      });
      changes = [];
      minutes = new Set();
      return [
        { kind: 'restatement', rows },
        { kind: 'recounted-minute', rows: recounted.filter(row => row.cells > 0) },
        { kind: 'ad-minute', rows: rows.flatMap(restatedRowsOf) },
        { kind: 'settled-minute', rows: recounted.map(row => ({ ...row, settled: 1 })) },
      ];
    },
  };
}

/** Returns the entry with the differences, which people see when they ask about the job. */
export function diffOf(changes: readonly CellChange[], { job, at }: Pick<RestatementRow, 'job' | 'at'>): JobEntry {
  const rows = changes.map(({ minute, ad_id, country, before, after, before_invalid, after_invalid }) => {
    const counts = { before, after, before_invalid, after_invalid };
    return { job, minute, ad_id, country, ...counts, at: Math.floor(at / 1_000) };
  });
  return { kind: 'diff', rows };
}

function restatedRowsOf({ minute, ad_id, country, revision, at, rows, rows_judged }: RestatementRow): RestatedRow[] {
  const version = versionOf(revision, at);
  return rows.map((row, i) => ({ minute, ad_id, country, version, ...row, ...(rows_judged[i] ?? notJudged) }));
}

/**
 * Never returns the same moment twice, because job, minute and moment together identify what becomes visible at once.
 */
function momentAfter(now: number): number {
  last = Math.max(now, last + 1);
  return last;
}

let last = 0;
