/** Table `conservation_seal`: the sums of rows of closed hours, and of closed ranges of offsets. */
import { Type } from 'typebox';
import { type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { JobLog } from '../../log/job-log.ts';
import { untilVisible } from '../../log/until-visible.ts';
import { type Reader, type RowOf, readNumber, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';

/** A seal that the job runner has made. A difference that a person has written off is not such a seal. */
const Seal = rowShape('conservation_seal', {
  source: Type.Enum(['ad_minute', 'quarantine']),
  partition: Type.Integer(),
  since: Type.Integer(),
  until: Type.Integer(),
  counted: Type.Integer(),
  duplicates: Type.Integer(),
  invalid: Type.Integer(),
  quarantined: Type.Integer(),
  kept_until: Type.Integer(),
});
export type Seal = RowOf<typeof Seal>;

/** The sum of all seals of a partition and of its written-off differences. */
const PartitionSeals = rowShape('sums of conservation_seal', {
  partition: Type.Integer(),
  counted: Type.Integer(),
  duplicates: Type.Integer(),
  invalid: Type.Integer(),
  quarantined: Type.Integer(),
  /** Lines of quarantine before this offset are sealed. */
  offset: Type.Integer(),
  /** Minutes before this time are sealed, in epoch ms. */
  time: Type.Integer(),
});
export type Sealed = Omit<RowOf<typeof PartitionSeals>, 'partition'>;

export type SealStore = ReturnType<typeof createSealStore>;

export interface SealStoreDeps {
  readonly clickhouse: Reader;
  readonly jobLog: JobLog;
  /** Epoch ms. */
  readonly now: () => number;
}

export function createSealStore({ clickhouse, jobLog, now }: SealStoreDeps) {
  const one = (found: Sql) =>
    readNumber(clickhouse, 'conservation_seal', statement`SELECT ${found} ${settingsOf(1, timeoutMs)}`);
  return {
    /** Returns the sums by partition. */
    async totals(): Promise<Map<number, Sealed>> {
      const rows = await readRows(
        clickhouse,
        PartitionSeals,
        statement`SELECT partition, sum(counted) AS counted, sum(duplicates) AS duplicates, sum(invalid) AS invalid,
           sum(quarantined) AS quarantined,
           maxIf(until, source = 'quarantine') AS offset, maxIf(until, source = 'ad_minute') * 1000 AS time
         FROM (SELECT * FROM conservation_seal FINAL) GROUP BY partition ${settingsOf(65_536, timeoutMs)}`,
      );
      return new Map(rows.map(({ partition, ...sealed }) => [partition, sealed]));
    },

    /**
     * Writes the seals in one transaction, and resolves when ClickHouse shows all of them. A new seal is always later
     * than all existing ones, whatever the clock says. So of several seals of one hour or range, ClickHouse keeps the
     * same one as the compaction of the topic.
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

    /**
     * Returns the seals whose rows were summed up longest ago, and are still kept: those of an hour in all partitions, or
     * the seal of a range of offsets in one partition.
     */
    async stalest(): Promise<Seal[]> {
      return await readRows(
        clickhouse,
        Seal,
        statement`SELECT source, partition, since, until, counted, duplicates, invalid, quarantined, toUnixTimestamp(kept) AS kept_until
         FROM (
           SELECT source, partition, since, until, counted, duplicates, invalid, quarantined, kept_until AS kept,
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
