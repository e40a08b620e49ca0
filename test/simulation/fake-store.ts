/**
 * The store of a simulation: ClickHouse's ReplacingMergeTree tables, as far as inserts and FINAL reads go. An insert that
 * fails may have put in none, some or all of its rows (that is for the network to decide, and `insertSome` to do).
 */
import {
  type AdMinuteLine,
  type AdMinuteRow,
  adMinuteRowOf,
  judgedColumns,
  type Progress,
  type QuarantineRow,
} from '../../aggregator/ad-minute.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { RefusedRows, Retryable } from '../../infra/errors.ts';
import type { Network } from './fake-kafka.ts';

export interface RawRow {
  readonly click_id: string;
  readonly event_id: string;
  readonly ad_id: string;
  readonly clicked_at: number;
  readonly country?: string;
  readonly user_id?: string;
  readonly ip?: string;
  readonly user_agent?: string;
  readonly facts?: string;
}

/** The sorting key and the version of each table: infra/clickhouse/NNN_*.sql. */
const tables = {
  click_raw: { key: ['click_id', 'ad_id', 'clicked_at'], version: undefined },
  ad_minute: { key: ['minute', 'ad_id', 'country', 'partition'], version: 'version' },
  ad_minute_by_ad: { key: ['minute', 'ad_id', 'country', 'partition'], version: 'version' },
  partition_progress: { key: ['partition'], version: 'position' },
  quarantine: { key: ['partition', 'offset', 'line'], version: undefined },
} as const;
export type Table = keyof typeof tables;

type Row = Readonly<Record<string, unknown>>;

/** A click of this ad is taken by the aggregator and refused by the store: a fault of ours that must harm nobody else. */
export const refusedAd = 'refused-by-the-store';

export class FakeStore {
  readonly #tables = new Map<Table, Map<string, Row>>();
  /** Told of two rows of one key and version that differ. */
  onContradiction: (table: Table, key: string, before: Row, after: Row) => void = () => {};

  constructor() {
    for (const table of Object.keys(tables) as Table[]) this.#tables.set(table, new Map());
  }

  /** How often it was emptied, and got tables again: what was sent before does not come after. */
  lives = 1;
  /** False: its directory was removed, and nobody has made tables yet. */
  hasTables = true;

  /** Its directory is removed. */
  empty(): void {
    this.lives++;
    this.hasTables = false;
    for (const rows of this.#tables.values()) rows.clear();
  }

  makeTables(): void {
    this.lives++;
    this.hasTables = true;
  }

  /** @throws RefusedRows, and then nothing of it is in */
  insert(table: string, ndjson: string, columns?: readonly string[]): void {
    this.insertSome(table, ndjson, Number.POSITIVE_INFINITY, columns);
  }

  /** The first `count` rows only, as when the connection breaks between two blocks. */
  insertSome(table: string, ndjson: string, count: number, columns?: readonly string[]): void {
    if (!this.hasTables) throw new Retryable('there is no such table');
    const lines = ndjson.split('\n').filter(line => line !== '');
    const rows = lines.map(line => parse(table, line, columns));
    for (const row of rows.slice(0, count)) this.#put(table as Table, row);
    // The view ad_minute_to_by_ad comes second: what breaks off may have reached it less far.
    if (table === 'ad_minute') for (const row of rows.slice(0, count / 2)) this.#put('ad_minute_by_ad', row);
  }

  rawRows(): readonly RawRow[] {
    return this.#final<RawRow>('click_raw');
  }

  adMinutes(table: 'ad_minute' | 'ad_minute_by_ad'): readonly AdMinuteRow[] {
    return this.#final<AdMinuteRow>(table);
  }

  progress(): readonly Progress[] {
    return this.#final<Progress>('partition_progress');
  }

  quarantine(): readonly (Omit<QuarantineRow, 'reason'> & { readonly reason: string })[] {
    return this.#final('quarantine');
  }

  #final<T>(table: Table): readonly T[] {
    return [...this.#tables.get(table)!.values()] as T[];
  }

  #put(table: Table, row: Row): void {
    const { key: columns, version } = tables[table];
    const key = columns.map(column => row[column]).join('|');
    const rows = this.#tables.get(table)!;
    const before = rows.get(key);
    if (before !== undefined && version !== undefined && Number(before[version]) > Number(row[version])) return;
    const isSameVersion =
      before !== undefined && (version === undefined || Number(before[version]) === Number(row[version]));
    if (isSameVersion && JSON.stringify(before) !== JSON.stringify(row)) this.onContradiction(table, key, before, row);
    rows.set(key, row);
  }
}

function parse(table: string, line: string, columns: readonly string[] = countedColumns): Row {
  const parsed = JSON.parse(line);
  const row: Row = Array.isArray(parsed) ? { ...adMinuteRowOf(parsed as unknown as AdMinuteLine) } : parsed;
  const isRefused = typeof row['ad_id'] !== 'string' || row['ad_id'] === refusedAd;
  if (table === 'click_raw' && isRefused) throw new RefusedRows('a value of the wrong type');
  if (table === 'ad_minute' && Array.isArray(parsed) && parsed.length !== columns.length)
    throw new RefusedRows('not its columns');
  // ClickHouse takes a 64-bit integer as text too.
  return typeof row['version'] === 'string' ? { ...row, version: Number(row['version']) } : row;
}

/** Those that an insert must give which names none (infra/clickhouse/027_invalid_clicks.sql). */
const countedColumns = judgedColumns.slice(0, 8);

/** As a process sees the store. */
export function fakeClickHouse(
  store: FakeStore,
  network: Network,
  tear: (rows: number) => number | undefined,
): ClickHouse {
  // What the sink uses of it.
  const clickhouse: Pick<ClickHouse, 'insert'> = {
    async insert(table, given, columns) {
      const ndjson = String(given);
      const torn = tear(ndjson.split('\n').length);
      try {
        const { lives } = store;
        await network.call('insert', () => {
          // Whoever had it was another server, or had no tables.
          if (store.lives !== lives) throw new Retryable('connection reset');
          if (torn === undefined) return store.insert(table, ndjson, columns);
          store.insertSome(table, ndjson, torn, columns);
          throw new Retryable('connection broken between two blocks');
        });
      } catch (error) {
        if (error instanceof RefusedRows) throw error;
        throw new Retryable('insert failed', { cause: error });
      }
    },
  };
  return clickhouse as ClickHouse;
}
