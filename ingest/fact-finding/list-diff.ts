/** Compares two lists of networks and user agents: what is added, what is removed, and how many addresses each covers. */
import { addressOf } from './address.ts';
import type { ValidityList } from './validity-list.ts';

export interface ListDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly before: Covered;
  readonly after: Covered;
}

export interface Covered {
  readonly ipv4: number;
  readonly ipv6: bigint;
}

/** Networks are compared as they are written, so two halves in place of a network are a change that covers the same. */
export function listDiff(before: ValidityList, after: ValidityList): ListDiff {
  const [old, fresh] = [entriesOf(before), entriesOf(after)];
  return {
    added: [...fresh.difference(old)],
    removed: [...old.difference(fresh)],
    before: before.addresses.covered,
    after: after.addresses.covered,
  };
}

function entriesOf({ networks, userAgents }: ValidityList): Set<string> {
  return new Set([...networks, ...userAgents.map(text => `user-agent: ${text}`)]);
}

export interface ListedClick {
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
}

/** Whether a list has the address or the user agent of a click. `ip` must be an address. */
export function isListed({ addresses, userAgents }: ValidityList, { ip, userAgent }: ListedClick): boolean {
  if (ip !== undefined && addresses.has(addressOf(ip))) return true;
  const text = userAgent?.toLowerCase();
  return text !== undefined && userAgents.some(part => text.includes(part));
}
