/** Table `conservation_seal`: what rows of closed stretches add up to. */
import type { SealRow } from '../../../aggregator/job-records.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { JobLog } from '../../log/job-log.ts';
import { untilVisible } from '../../log/until-visible.ts';
import { settingsOf } from '../sql/read-settings.ts';

/** One of the job runner's own: what a person writes off is none. */
export interface Seal extends Omit<SealRow, 'missing' | 'note' | 'at'> {
  readonly source: 'ad_minute' | 'quarantine';
  readonly kept_until: number;
}

/** All seals of a partition, and what was written off. */
export interface Sealed {
  readonly counted: number;
  readonly duplicates: number;
  readonly quarantined: number;
  /** Lines of quarantine before this offset are sealed. */
  readonly offset: number;
  /** Minutes before this are sealed, epoch ms. */
  readonly time: number;
}

export type SealStore = ReturnType<typeof createSealStore>;

export interface SealStoreDeps {
  readonly clickhouse: ClickHouse;
  readonly jobLog: JobLog;
  /** Epoch ms. */
  readonly now: () => number;
}

export function createSealStore({ clickhouse, jobLog, now }: SealStoreDeps) {
  const one = async (found: Sql) => {
    const [row] = await clickhouse.query<{ n: number }>(...statement`SELECT ${found} ${settingsOf(1, timeoutMs)}`);
    return row?.n ?? 0;
  };
  return {
    /** By partition. */
    async totals(): Promise<Map<number, Sealed>> {
      const rows = await clickhouse.query<Sealed & { partition: number }>(
        ...statement`SELECT partition, sum(counted) AS counted, sum(duplicates) AS duplicates, sum(quarantined) AS quarantined,
           maxIf(until, source = 'quarantine') AS offset, maxIf(until, source = 'ad_minute') * 1000 AS time
         FROM (SELECT * FROM conservation_seal FINAL) GROUP BY partition ${settingsOf(65_536, timeoutMs)}`,
      );
      return new Map(rows.map(({ partition, ...sealed }) => [partition, sealed]));
    },

    /**
     * In one transaction; resolves once they are all to be read. A seal is later than all that are there, whatever the clock
     * says: so of a stretch ClickHouse keeps the one that compaction keeps.
     * @throws Fenced, Retryable
     */
    async save(seals: readonly Seal[]): Promise<void> {
      if (seals.length === 0) return;
      const newest = await one(sql`toUnixTimestamp64Milli(max(at)) AS n FROM conservation_seal`);
      const at = Math.max(now(), newest + 1);
      await jobLog.write([{ kind: 'seal', rows: seals.map(seal => ({ ...seal, at, logged: 1 })) }]);
      const saved = sql`uniqExact(source, partition, since) AS n FROM conservation_seal
        WHERE at = fromUnixTimestamp64Milli(${at}, 'UTC')`;
      await untilVisible('a seal', { withinMs: 20_000 }, async () => (await one(saved)) >= seals.length);
    },

    /** The stretch that was looked at longest ago, of those whose rows are kept: an hour of all partitions, or offsets of one. */
    async stalest(): Promise<Seal[]> {
      return await clickhouse.query(
        ...statement`SELECT source, partition, since, until, counted, duplicates, quarantined, toUnixTimestamp(kept) AS kept_until
         FROM (
           SELECT source, partition, since, until, counted, duplicates, quarantined, kept_until AS kept,
             source = 'ad_minute' ? 0 : partition + 1 AS stretch
           FROM conservation_seal FINAL WHERE source != 'accepted'
         )
         WHERE (source, stretch, since) = (
           SELECT source, source = 'ad_minute' ? 0 : partition + 1 AS stretch, since FROM conservation_seal FINAL
           WHERE source != 'accepted' AND kept_until > toDateTime(${Math.floor(now() / 1_000)}, 'UTC')
           ORDER BY at, source, stretch, since LIMIT 1
         )
         ORDER BY partition ${settingsOf(65_536, timeoutMs)}`,
      );
    },
  };
}

const timeoutMs = 20_000;
