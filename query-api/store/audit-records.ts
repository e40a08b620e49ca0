/** Table `audit_record`: who has asked for what. Its rows are written by infra/audit/audit-trail.ts, through the log. */
import { Type } from 'typebox';
import { noSql, sql, statement } from '../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../time/time-range.ts';
import { type Reader, type RowOf, readRows, rowShape } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';

const StoredEntry = rowShape('audit_record', {
  id: Type.String(),
  /** Epoch ms, as `until` is. */
  at: Type.Integer(),
  until: Type.Integer(),
  kind: Type.String(),
  asked_by: Type.String(),
  name: Type.String(),
  subject: Type.String(),
  address: Type.String(),
  action: Type.String(),
  parameters: Type.Record(Type.String(), Type.String()),
  requests: Type.Integer(),
  status: Type.Integer(),
});
export type StoredEntry = RowOf<typeof StoredEntry>;

/** The last entry of a page. */
export type AuditPlace = readonly [at: number, id: string];

export interface WantedEntries extends TimeRange {
  readonly askedBy?: string | undefined;
  readonly action?: string | undefined;
  readonly kind?: string | undefined;
  readonly subject?: string | undefined;
}

export function createAuditRecords(clickhouse: Reader, { timeoutMs }: { readonly timeoutMs: number }) {
  return {
    /** Returns entries from newest to oldest, those behind `after`. */
    async list(
      { from, to, askedBy, action, kind, subject }: WantedEntries,
      after: AuditPlace | undefined,
      limit: number,
    ): Promise<StoredEntry[]> {
      const behind =
        after === undefined ? noSql : sql`AND (toUnixTimestamp64Milli(at), id) < (${after[0]}, ${after[1]})`;
      const until = Math.min(to, after === undefined ? to : after[0] + 1);
      return await readRows(
        clickhouse,
        StoredEntry,
        statement`SELECT id, toUnixTimestamp64Milli(t) AS at, toUnixTimestamp64Milli(u) AS until, kind, asked_by, name,
           subject, address, action, parameters, requests, status
         FROM (
           SELECT at AS t, until AS u, id, kind, asked_by, name, subject, address, action, parameters, requests, status
           FROM audit_record FINAL
           WHERE at >= fromUnixTimestamp64Milli(${from}, 'UTC') AND at < fromUnixTimestamp64Milli(${until}, 'UTC')
             ${askedBy === undefined ? noSql : sql`AND asked_by = ${askedBy}`}
             ${action === undefined ? noSql : sql`AND action = ${action}`}
             ${kind === undefined ? noSql : sql`AND kind = ${kind}`}
             ${subject === undefined ? noSql : sql`AND subject = ${subject}`} ${behind}
           ORDER BY at DESC, id DESC LIMIT ${limit}
         ) ORDER BY t DESC, id DESC ${settingsOf(limit, timeoutMs)}`,
      );
    },
  };
}
