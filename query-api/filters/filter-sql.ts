/**
 * A filter as SQL over `country`, `user_id` and `ip` of a click. It stands in long reads, so the text holds integers
 * and hexadecimal digits only (`read-settings.ts`).
 *
 * An address is compared by what it means, not by its letters: `2001:DB8::1` is `2001:db8:0::1`. A click without user
 * or address, or with one that is no address, matches no list.
 */
import { integer, literal } from '../read-settings.ts';
import type { AddressRange, ClickFilter, Condition } from './click-filter.ts';

export function conditionOf(filter: ClickFilter): string {
  return filter.map(condition => `(${sideOf(condition)}${matchOf(condition)})`).join(' AND ') || '1';
}

function sideOf({ side }: Condition): string {
  return side === 'in' ? '' : 'NOT ';
}

function matchOf(condition: Condition): string {
  if (condition.list.length === 0) return '0';
  switch (condition.kind) {
    case 'country':
      return `country IN (${condition.list.map(literal)})`;
    case 'user':
      return `(user_id != '' AND (${condition.list.map(pattern => `user_id LIKE ${literal(pattern)}`).join(' OR ')}))`;
    case 'ip':
      return `arrayExists(r -> toIPv6OrNull(ip) >= r.1 AND toIPv6OrNull(ip) <= r.2, [${condition.list.map(rangeOf)}])`;
  }
}

function rangeOf({ address, prefix }: AddressRange): string {
  return `IPv6CIDRToRange(toIPv6(${literal(address)}), toUInt8(${integer(prefix)}))`;
}
