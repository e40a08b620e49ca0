/**
 * Returns the network to which an address belongs. One customer has one IPv4 address, but the 2^64 IPv6 addresses of a
 * /64, so counting those one by one would limit nobody.
 */
import { isIP } from 'node:net';
import ipaddr, { type IPv6 } from 'ipaddr.js';

/**
 * Returns the address itself for IPv4, even if it is written as IPv6; the /64 for IPv6; and any other text unchanged.
 */
export function networkOf(address: string): string {
  if (!address.includes(':') || !ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  const [first, second, third, fourth] = (parsed as IPv6).parts.map(part => part.toString(16));
  return `${first}:${second}:${third}:${fourth}::/64`;
}

/**
 * Returns an IPv4 address that arrived over an IPv6 socket in the form of IPv4, so that it can be compared with what
 * people write.
 */
export function plainAddress(address: string): string {
  return /^::ffff:\d/i.test(address) ? address.slice(7) : address;
}

/** Returns the address without a zone, or undefined for one of this machine, and for what is no address. */
export function publicAddress(address: string): string | undefined {
  const plain = plainAddress(address).split('%', 1)[0]!;
  if (isIP(plain) === 0) return undefined;
  return plain.startsWith('127.') || plain === '::1' ? undefined : plain;
}
