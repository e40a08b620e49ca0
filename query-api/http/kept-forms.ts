/**
 * Says under which texts the clicks of one person may be kept, for who asks for a person in the plain form.
 *
 * Settings change, and rows stay as they were written. So a person is looked for in the plain form and under the hashes
 * of all keys, with the fixed salt and with that of each UTC day that is asked for. A truncated address is not among
 * them: it is that of a network, and its clicks are not those of one address.
 *
 * Clicks that were exported, or quarantined, and fed again by an earlier ingest have a hash of the hash of their user.
 * So hashes of hashes are among the forms of a user, each by the key and the salt of the first.
 */
import type { KeyObject } from 'node:crypto';
import { hashedIp, hashedUserId, saltOf } from '../../ingest/privacy/personal-data.ts';
import type { TimeRange } from '../time/time-range.ts';

export interface KeptForms {
  /** The id itself is always the first. */
  ofUserId(userId: string, range: TimeRange): readonly string[];
  /** `ip` must be an address. It is always the first itself. */
  ofIp(ip: string, range: TimeRange): readonly string[];
}

const dayMs = 24 * 3_600_000;

export function createKeptForms(keys: readonly KeyObject[]): KeptForms {
  const forms = (text: string, range: TimeRange, hashes: (key: KeyObject, salt: string) => string[]) => {
    const salts = keys.length === 0 ? [] : ['', ...daysOf(range)];
    return [text, ...keys.flatMap(key => salts.flatMap(salt => hashes(key, salt)))];
  };
  return {
    ofUserId: (userId, range) =>
      forms(userId, range, (key, salt) => {
        const hashed = hashedUserId(key, userId, salt);
        return [hashed, hashedUserId(key, hashed, salt)];
      }),
    ofIp: (ip, range) => forms(ip, range, (key, salt) => [hashedIp(key, ip, salt)]),
  };
}

/** Of the whole range, which limits of requests keep to about a month. */
function daysOf({ from, to }: TimeRange): string[] {
  const days: string[] = [];
  for (let day = Math.floor(from / dayMs) * dayMs; day < to; day += dayMs) days.push(saltOf('daily', day));
  return days;
}
