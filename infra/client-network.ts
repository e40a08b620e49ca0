/**
 * Returns the network to which an address belongs. One customer has one IPv4 address, but the 2^64 IPv6 addresses of a
 * /64, so counting those one by one would limit nobody.
 */
import { isIP } from 'node:net';

/**
 * Returns the address itself for IPv4, even if it is written as IPv6; the /64 for IPv6; and any other text unchanged.
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const groups = groupsOf(address);
  if (groups === undefined) return address;
  const [first, second, third, fourth] = groups;
  if (isIpv4Mapped(groups)) return dotted(groups[6]!, groups[7]!);
  return `${hex(first!)}:${hex(second!)}:${hex(third!)}:${hex(fourth!)}::/64`;
}

/**
 * Returns an IPv4 address that arrived over an IPv6 socket in the form of IPv4, so that it can be compared with what
 * people write.
 */
export function plainAddress(address: string): string {
  return /^::ffff:\d/i.test(address) ? address.slice(7) : address;
}

/** Returns the eight groups of an IPv6 address, or undefined if the text is none. */
function groupsOf(text: string): readonly number[] | undefined {
  if (isIP(text) !== 6) return undefined;
  const [address = ''] = text.split('%');
  const lastColon = address.lastIndexOf(':');
  const tail = address.slice(lastColon + 1);
  const whole = tail.includes('.') ? `${address.slice(0, lastColon + 1)}${groupsOfDotted(tail)}` : address;
  const [head = '', rest] = whole.split('::');
  const before = parsed(head);
  const after = rest === undefined ? [] : parsed(rest);
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function parsed(text: string): readonly number[] {
  return text === '' ? [] : text.split(':').map(group => Number.parseInt(group, 16));
}

function groupsOfDotted(text: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number);
  return `${hex(a * 256 + b)}:${hex(c * 256 + d)}`;
}

function isIpv4Mapped(groups: readonly number[]): boolean {
  return groups[5] === 0xffff && groups.slice(0, 5).every(group => group === 0);
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

function hex(group: number): string {
  return group.toString(16);
}
