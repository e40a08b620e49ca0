/**
 * An address as numbers that can be compared: one of 32 bits for IPv4, and four for IPv6. An IPv4 address that is
 * written as IPv6 is the IPv4 address.
 *
 * It is read by hand, because this is done for every click, and a library takes microseconds for IPv6.
 */

export type Ipv6 = readonly [number, number, number, number];
export type Address = number | Ipv6;

/** `text` must be an address without a zone, as `isAddress` (click-body.ts) allows it. */
export function addressOf(text: string): Address {
  if (!text.includes(':')) return ipv4Of(text, 0);
  fillParts(text);
  const [a, b, c, d] = [wordAt(0), wordAt(2), wordAt(4), wordAt(6)];
  return a === 0 && b === 0 && c === 0xffff ? d : [a, b, c, d];
}

export function isIpv4(address: Address): address is number {
  return typeof address === 'number';
}

/** Returns less than 0 if `a` comes before `b`, 0 if they are equal. */
export function compareIpv6(a: Ipv6, b: Ipv6): number {
  if (a[0] !== b[0]) return a[0] - b[0];
  if (a[1] !== b[1]) return a[1] - b[1];
  return a[2] !== b[2] ? a[2] - b[2] : a[3] - b[3];
}

/** The eight parts of the IPv6 address that was read last. */
const parts = new Uint16Array(8);

function wordAt(part: number): number {
  return parts[part]! * 0x10000 + parts[part + 1]!;
}

function fillParts(text: string): void {
  let count = 0;
  /** The number of parts before `::`, which stands for as many zeros as are missing. */
  let gap = -1;
  let partStart = 0;
  let part = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? colon : text.charCodeAt(i);
    if (code === dot) {
      const ipv4 = ipv4Of(text, partStart);
      parts[count++] = ipv4 >>> 16;
      parts[count++] = ipv4 & 0xffff;
      break;
    }
    if (code !== colon) {
      part = part * 16 + hexDigit(code);
      continue;
    }
    if (i > partStart) parts[count++] = part;
    else if (i < text.length && i > 0) gap = count;
    partStart = i + 1;
    part = 0;
  }
  if (gap === -1) return;
  parts.copyWithin(8 - count + gap, gap, count);
  parts.fill(0, gap, 8 - count + gap);
}

function hexDigit(code: number): number {
  return code <= 0x39 ? code - zero : (code | 0x20) - 0x57;
}

function ipv4Of(text: string, start: number): number {
  let address = 0;
  let part = 0;
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === dot) {
      address = address * 256 + part;
      part = 0;
    } else part = part * 10 + code - zero;
  }
  return address * 256 + part;
}

const [dot, colon, zero] = [0x2e, 0x3a, 0x30];
