/**
 * One spelling for each address: rules of invalid clicks count the clicks of an address by its text, so somebody who
 * spelled it in a new way for each click would be under no cap.
 */
import ipaddr from 'ipaddr.js';
import { keptIpPattern } from './privacy/personal-data.ts';

/**
 * Returns the address as RFC 5952 spells it, or as IPv4 if it is one in IPv6 (`::ffff:203.0.113.7`). `address` must be one,
 * without a zone. What has the form of a hash or of an erased person's token (privacy/) stays as it is.
 */
export function canonicalAddress(address: string): string {
  if (!address.includes(':') || mostAddresses.test(address) || keptIpPattern.test(address)) return address;
  return ipaddr.process(address).toString();
}

/** Without groups of zeros, such addresses have one spelling. Nearly all addresses of visitors are like this. */
const mostAddresses = /^(?:[1-9a-f][0-9a-f]{0,3}:){7}[1-9a-f][0-9a-f]{0,3}$/;
