/**
 * Lets a reader see the rows of some ads alone, as if ClickHouse had no others (ads-filter.ts). What is read here is
 * limited whatever a statement says, so no question to the store can forget it.
 */
import { Corrupt } from '../errors.ts';
import { ownsAd } from '../keys/tenant.ts';
import type { ClickHouse, ReadOptions } from './clickhouse.ts';

/** Returns the same database, in which there are only the ads whose id begins with one of the prefixes. It is read only. */
export function onlyAds(clickhouse: ClickHouse, adIdPrefixes: readonly string[]): ClickHouse {
  const only = (options?: ReadOptions): ReadOptions => ({ ...options, adIdPrefixes });
  return {
    query: async <T>(sql: string, params?: Parameters<ClickHouse['query']>[1], options?: ReadOptions) =>
      checked(await clickhouse.query<T>(sql, params, only(options)), adIdPrefixes),
    queryLines: (sql, params, options) => clickhouse.queryLines(sql, params, only(options)),
    stream: (sql, format, params, options) => clickhouse.stream(sql, format, params, only(options)),
    command: readOnly,
    insert: readOnly,
    ping: () => clickhouse.ping(),
    disks: readOnly,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** The second lock: a row that names an ad of others is never answered, whatever made ClickHouse return it. */
function checked<T>(rows: T[], adIdPrefixes: readonly string[]): T[] {
  for (const row of rows) {
    const adId: unknown = typeof row === 'object' && row !== null && 'ad_id' in row ? row.ad_id : '';
    // Sums over several ads have an empty id.
    if (typeof adId === 'string' && adId !== '' && !ownsAd({ adIdPrefixes }, adId))
      throw new Corrupt('ClickHouse returned a row of an ad that the reader must not see');
  }
  return rows;
}

async function readOnly(): Promise<never> {
  throw new Error('whoever sees some ads alone reads, and nothing else');
}
