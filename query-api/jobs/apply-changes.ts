/**
 * Writes what a recount has found, so that all changes of a minute become visible at once, or none:
 *
 * 1. `stage`: the changes go into `restatement`, with the rows that replace those of `ad_minute`. Nobody sees them yet.
 * 2. `publish`: one row of `recounted_minute` for each minute. From then on every reader has all of the minute's changes
 *    (`stated-rows.ts`), and the late clicks that the recount has read are counted (`late-clicks.ts`).
 * 3. `settle`: the rows are copied into `ad_minute`, and `recounted_minute` says so. Readers do not see a difference.
 *
 * A process that dies before 2 has changed nothing, and the minute is recounted. One that dies after it is settled by
 * whoever runs the next job, before it compares anything with `ad_minute`: otherwise it would find the old counts there,
 * and state the change a second time.
 */
import type {
  CellChange,
  RecountedMinuteRow,
  RestatementReason,
  RestatementRow,
} from '../../aggregator/restatement.ts';
import { noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import type { ClickHouse } from '../../infra/clickhouse.ts';
import { Retryable } from '../../infra/errors.ts';
import { settingsOf } from '../read-settings.ts';
import { restatedColumns } from '../stated-rows.ts';

export interface Restating {
  readonly job: string;
  readonly reason: RestatementReason;
  /** Epoch ms. */
  readonly at: number;
}

export interface Restater {
  /** Changes of whole minutes. `recounted`: minutes (epoch ms) whose late clicks are in the counts then, changed or not. */
  stage(changes: readonly CellChange[], recounted: readonly number[]): Promise<void>;
  /** Makes visible what was staged. */
  publish(): Promise<void>;
}

export interface RestaterOptions {
  readonly clickhouse: ClickHouse;
  readonly job: string;
  readonly reason: RestatementReason;
  /** By partition of topic `clicks`: raw had all before this offset when the recount began to read it. */
  readonly readUntil: ReadonlyMap<number, number>;
  /** Epoch ms. */
  readonly now: () => number;
}

export function createRestater({ clickhouse, job, reason, readUntil, now }: RestaterOptions): Restater {
  const read_until = Object.fromEntries(readUntil);
  let staged: RecountedMinuteRow[] = [];
  return {
    async stage(changes, recounted) {
      const at = momentAfter(now());
      const rows = changes.map((change): RestatementRow => ({ ...change, job, reason, at }));
      await insertRows(clickhouse, 'restatement', rows);
      const cells = new Map(recounted.map(minute => [minute / 1_000, 0]));
      for (const { minute } of changes) cells.set(minute, (cells.get(minute) ?? 0) + 1);
      for (const [minute, n] of cells) {
        staged.push({ minute, at, job, cells: n, read_until, settled: n === 0 ? 1 : 0 });
      }
    },

    async publish() {
      const minutes = staged;
      staged = [];
      for (let i = 0; i < minutes.length; i += minutesAtOnce) {
        const visible = minutes.slice(i, i + minutesAtOnce);
        await insertRows(clickhouse, 'recounted_minute', visible);
        if (visible.some(({ settled }) => settled === 0)) await settle(clickhouse, spanOf(visible));
      }
    },
  };
}

/** All at once. */
export async function applyChanges(
  clickhouse: ClickHouse,
  changes: readonly CellChange[],
  { at, ...restating }: Restating & Pick<RestaterOptions, 'readUntil'>,
): Promise<void> {
  const restater = createRestater({ clickhouse, ...restating, now: () => at });
  await restater.stage(changes, []);
  await restater.publish();
}

/**
 * Copies into `ad_minute` what is visible and not there yet. The view that fills `ad_minute_by_ad` does its part in the
 * same statement; one that broke off between the two tables is repeated, as the minute is not settled.
 * @throws Retryable where rows that were staged are not there (yet): a replica may lag
 */
export async function settle(clickhouse: ClickHouse, span = always): Promise<void> {
  const open = sql`settled = 0 AND ${withinSpan(span)}`;
  const minutes = await clickhouse.query<RecountedMinuteRow>(
    ...statement`SELECT toUnixTimestamp(minute) AS minute, toUnixTimestamp64Milli(at) AS at, job, cells, read_until, settled
     FROM (SELECT * FROM recounted_minute FINAL WHERE ${open}) ${settingsOf(0, timeoutMs)}`,
  );
  if (minutes.length === 0) return;
  const rowsOf = (
    arrayJoin: Sql,
  ) => sql`restatement FINAL ${arrayJoin} WHERE notEmpty(rows) AND ${withinSpan(spanOf(minutes))}
    AND (minute, at, job) IN (SELECT minute, at, job FROM recounted_minute FINAL WHERE ${open})`;
  const [found] = await clickhouse.query<{ n: number }>(
    ...statement`SELECT count() AS n FROM ${rowsOf(noSql)} ${settingsOf(1, timeoutMs)}`,
  );
  const expected = minutes.reduce((sum, { cells }) => sum + cells, 0);
  if (found?.n !== expected) {
    throw new Retryable(`${expected} changes are visible, ${found?.n ?? 0} of them are in table restatement`);
  }
  await clickhouse.command(
    ...statement`INSERT INTO ad_minute (minute, ad_id, country, partition, version, clicks, duplicates, late)
     SELECT ${restatedColumns} FROM ${rowsOf(sql`ARRAY JOIN rows AS restated`)}
     ${settingsOf(0, timeoutMs, { max_partitions_per_insert_block: 1_000 })}`,
  );
  await sayThatSettled(clickhouse, minutes);
}

/** What differs, for who asks about the job. */
export async function recordDiff(
  clickhouse: ClickHouse,
  changes: readonly CellChange[],
  { job, at }: Pick<Restating, 'job' | 'at'>,
): Promise<void> {
  await insertRows(
    clickhouse,
    'replay_diff',
    changes.map(({ minute, ad_id, country, before, after }) => {
      return { job, minute, ad_id, country, before, after, at: Math.floor(at / 1_000) };
    }),
  );
}

function sayThatSettled(clickhouse: ClickHouse, minutes: readonly RecountedMinuteRow[]): Promise<void> {
  const settled = minutes.map((minute): RecountedMinuteRow => ({ ...minute, settled: 1 }));
  return insertRows(clickhouse, 'recounted_minute', settled);
}

/** Never the same twice: with the job and the minute it names what becomes visible at once. */
function momentAfter(now: number): number {
  last = Math.max(now, last + 1);
  return last;
}

let last = 0;

const timeoutMs = 60_000;
const rowsPerInsert = 50_000;
/** Each of them says how far every partition was read. */
const minutesAtOnce = 500;

async function insertRows(clickhouse: ClickHouse, table: string, rows: readonly object[]): Promise<void> {
  for (let i = 0; i < rows.length; i += rowsPerInsert) {
    const part = rows.slice(i, i + rowsPerInsert);
    await clickhouse.insert(table, part.map(row => JSON.stringify(row)).join('\n'));
  }
}

/** Of minutes, epoch seconds, both inclusive. */
interface Span {
  readonly first: number;
  readonly last: number;
}

/** Until a DateTime ends. */
const always: Span = { first: 0, last: 2 ** 32 - 60 };

function spanOf(rows: readonly Pick<RecountedMinuteRow, 'minute'>[]): Span {
  const minutes = rows.map(({ minute }) => minute);
  return { first: Math.min(...minutes), last: Math.max(...minutes) };
}

function withinSpan({ first, last }: Span): Sql {
  return sql`minute >= toDateTime(${first}, 'UTC') AND minute <= toDateTime(${last}, 'UTC')`;
}
