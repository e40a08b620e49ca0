/**
 * What one transaction of a recount says, so that all changes of a minute become visible at once, or none:
 *
 * 1. the changes, for `restatement`, each with the rows that replace those of `ad_minute`: nobody sees them yet;
 * 2. one row of `recounted_minute` for each minute: from then on every reader has all of the minute's changes
 *    (`stated-rows.ts`), and the late clicks that the recount has read are counted (`late-clicks.ts`);
 * 3. the rows for `ad_minute`, and `recounted_minute` once more, settled: readers do not see a difference.
 *
 * A sink inserts them in this order (aggregator/job-records.ts), however its batches cut them. One that dies in between
 * leaves what readers take for what it is, and begins with it again. A runner that dies before his commit has said nothing.
 */
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
  /** Changes of whole minutes. `recounted`: minutes (epoch ms) whose late clicks are in the counts then, changed or not. */
  stage(changes: readonly CellChange[], recounted: readonly number[]): void;
  /** What makes visible all that was staged since, in order. */
  take(): JobEntry[];
}

export interface RestaterOptions {
  readonly job: string;
  readonly reason: RestatementReason;
  /** By partition of topic `clicks`: raw had all before this offset when the recount began to read it. */
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

/** What differs, for who asks about the job. */
export function diffOf(changes: readonly CellChange[], { job, at }: Pick<RestatementRow, 'job' | 'at'>): JobEntry {
  const rows = changes.map(({ minute, ad_id, country, before, after }) => {
    return { job, minute, ad_id, country, before, after, at: Math.floor(at / 1_000) };
  });
  return { kind: 'diff', rows };
}

function restatedRowsOf({ minute, ad_id, country, revision, at, rows }: RestatementRow): RestatedRow[] {
  return rows.map(row => ({ minute, ad_id, country, version: versionOf(revision, at), ...row }));
}

/** Never the same twice: with the job and the minute it names what becomes visible at once. */
function momentAfter(now: number): number {
  last = Math.max(now, last + 1);
  return last;
}

let last = 0;
