/**
 * Writes what a recount has found. First the history, so that nobody reads a changed number without its restatement;
 * `ad_minute`, which the recount compares with, comes last: as long as it is not written, a job that is run again finds
 * the cell still different and writes all of it once more. So `ad_minute_by_ad` does not wait for the view that fills it
 * from `ad_minute`: an insert that broke off between the two would find nothing different.
 */
import {
  type CellChange,
  type RestatementReason,
  type RestatementRow,
  versionOf,
} from '../../aggregator/restatement.ts';
import type { ClickHouse } from '../../infra/clickhouse.ts';

export interface Restating {
  readonly job: string;
  readonly reason: RestatementReason;
  /** Epoch ms. */
  readonly at: number;
}

export async function applyChanges(
  clickhouse: ClickHouse,
  changes: readonly CellChange[],
  restating: Restating,
): Promise<void> {
  await insertRows(
    clickhouse,
    'restatement',
    changes.map(({ rows, ...change }): RestatementRow => {
      return { ...change, ...restating };
    }),
  );
  // A cell that was counted in several partitions is replaced in one insert: a sum over half of its new rows was never true.
  const cells = changes.map(({ minute, ad_id, country, revision, rows: counts }) =>
    counts.map(count => ({ minute, ad_id, country, version: versionOf(revision, restating.at), ...count })),
  );
  await insertWhole(clickhouse, 'ad_minute_by_ad', cells);
  await insertWhole(clickhouse, 'ad_minute', cells);
}

/** What differs, for who asks about the job. */
export async function recordDiff(
  clickhouse: ClickHouse,
  changes: readonly CellChange[],
  { job, at }: Restating,
): Promise<void> {
  await insertRows(
    clickhouse,
    'replay_diff',
    changes.map(({ minute, ad_id, country, before, after }) => {
      return { job, minute, ad_id, country, before, after, at: Math.floor(at / 1_000) };
    }),
  );
}

const rowsPerInsert = 50_000;

async function insertRows(clickhouse: ClickHouse, table: string, rows: readonly object[]): Promise<void> {
  await insertWhole(
    clickhouse,
    table,
    rows.map(row => [row]),
  );
}

/** Rows of a group go into the same insert. */
async function insertWhole(clickhouse: ClickHouse, table: string, groups: readonly object[][]): Promise<void> {
  let rows: object[] = [];
  const send = async () => {
    if (rows.length > 0) await clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));
    rows = [];
  };
  for (const group of groups) {
    if (rows.length + group.length > rowsPerInsert) await send();
    rows.push(...group);
  }
  await send();
}
