/**
 * Writes a filter as SQL over `country`, `user_id` and `ip` of a click.
 *
 * Addresses are compared by their value and not as texts: `2001:DB8::1` equals `2001:db8:0::1`. A click without a user
 * or an address, or with an invalid address, matches no list.
 */
import { joined, noSql, type Sql, sql } from '../../../infra/clickhouse/sql.ts';
import type { AddressRange, ClickFilter, Condition } from './click-filter.ts';

export function conditionOf(filter: ClickFilter): Sql {
  if (filter.length === 0) return sql`1`;
  const each = filter.map(condition => sql`(${sideOf(condition)} ${matchOf(condition)})`);
  return joined(each, ' AND ');
}

function sideOf({ side }: Condition): Sql {
  return side === 'in' ? noSql : sql`NOT`;
}

function matchOf(condition: Condition): Sql {
  if (condition.list.length === 0) return sql`0`;
  switch (condition.kind) {
    case 'country':
      return sql`country IN ${condition.list}`;
    case 'user':
      return sql`(user_id != '' AND (${anyOf(condition.list.map(pattern => sql`user_id LIKE ${pattern}`))}))`;
    case 'ip':
      return sql`arrayExists(r -> toIPv6OrNull(ip) >= r.1 AND toIPv6OrNull(ip) <= r.2, [${rangesOf(condition.list)}])`;
  }
}

function anyOf(conditions: readonly Sql[]): Sql {
  return joined(conditions, ' OR ');
}

function rangesOf(networks: readonly AddressRange[]): Sql {
  return joined(
    networks.map(({ address, prefix }) => sql`IPv6CIDRToRange(toIPv6(${address}), toUInt8(${prefix}))`),
    ', ',
  );
}
