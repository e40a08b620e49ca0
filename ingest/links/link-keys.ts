/**
 * Reads the text of the key file: the keys by which click links are signed, and the destinations of ads.
 *
 *     {"keys": [{"id": "2026-11", "secret": "…", "not_before": "2026-11-01T00:00Z", "not_after": "…", "ad_id_prefix": "acme-", "region": "eu"}],
 *      "destinations": {"ad-42": ["https://shop.example/shoes"]}}
 *
 * An error names the place, the value and the rule. Of a secret it never shows anything. A field that does not exist is
 * refused: a limit with a wrong name would be no limit.
 */
import type { KeyObject } from 'node:crypto';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { brokenRule, ruleOf } from '../../infra/broken-rule.ts';
import { ConfigError } from '../../infra/errors.ts';
import { regionPattern } from '../../infra/keys/region.ts';
import type { Slices } from '../../infra/slices.ts';
import { adIdPattern, parseTime } from '../click.ts';
import { destinationRule, isDestination } from './destination.ts';
import { secretOf } from './link-text.ts';

export interface LinkKey {
  readonly id: string;
  readonly secret: KeyObject;
  /** Epoch ms; it is in force from then on, and before `notAfter`. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** It signs for ads whose id begins so; empty: for all. */
  readonly adIdPrefix: string;
  /** The only region in which its links count. Undefined: they count in all. */
  readonly region: string | undefined;
}

export interface LinkKeys {
  readonly keys: ReadonlyMap<string, LinkKey>;
  /** By ad. The first is that of links without a destination; a link with one must have one of these. */
  readonly destinations: ReadonlyMap<string, readonly string[]>;
}

/** Of a process without a key file. */
export const noLinkKeys: LinkKeys = { keys: new Map(), destinations: new Map() };

/** Whoever has more destinations has other means than a file: each process holds all of them. */
export const mostKeyFileBytes = 64 << 20;

const closed = { additionalProperties: false };
const Destinations = Type.Record(Type.String(), Type.Array(Type.String(), { minItems: 1, maxItems: 100 }));
const KeyFile = Type.Object(
  {
    keys: Type.Array(
      Type.Object(
        {
          id: Type.String({ pattern: '^[A-Za-z0-9._-]{1,40}$' }),
          secret: Type.String({ pattern: '^[A-Za-z0-9_-]{43,128}$' }),
          not_before: Type.Optional(Type.String()),
          not_after: Type.Optional(Type.String()),
          ad_id_prefix: Type.Optional(Type.String({ pattern: adIdPattern.source })),
          region: Type.Optional(Type.String({ pattern: regionPattern.source })),
        },
        closed,
      ),
      { minItems: 1, maxItems: 1_000 },
    ),
    destinations: Type.Optional(Destinations),
  },
  closed,
);
type KeyFile = Static<typeof KeyFile>;

/**
 * Destinations are checked in slices, because a file may have those of a hundred thousand ads. `name` is what errors call
 * the file. @throws ConfigError
 */
export function* readLinkKeys(bytes: Buffer, name: string): Slices<LinkKeys> {
  if (bytes.length > mostKeyFileBytes)
    throw new ConfigError(`${name}: has ${bytes.length} bytes, but may have ${mostKeyFileBytes}`);
  const content = jsonIn(bytes, name);
  const ads = isObject(content) && isObject(content['destinations']) ? content['destinations'] : {};
  // Those of each ad are checked below.
  const file: unknown =
    isObject(content) && content['destinations'] === ads ? { ...content, destinations: {} } : content;
  assertFits(KeyFile, file, name);
  const destinations = new Map<string, readonly string[]>();
  for (const [adId, urls] of Object.entries(ads)) {
    destinations.set(adId, destinationsOf(adId, urls, name));
    if (destinations.size % adsInSlice === 0) yield;
  }
  return { keys: keysOf(file, name), destinations };
}

const adsInSlice = 500;

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function keysOf(file: KeyFile, name: string): Map<string, LinkKey> {
  const keys = new Map<string, LinkKey>();
  for (const [i, key] of file.keys.entries()) {
    const at = `${name}: keys[${i}]`;
    if (keys.has(key.id)) throw new ConfigError(brokenRule(`${at}.id`, key.id, 'must be that of one key alone'));
    keys.set(key.id, {
      id: key.id,
      secret: secretOf(key.secret),
      notBefore: timeOf(`${at}.not_before`, key.not_before, 0),
      notAfter: timeOf(`${at}.not_after`, key.not_after, Number.POSITIVE_INFINITY),
      adIdPrefix: key.ad_id_prefix ?? '',
      region: key.region,
    });
  }
  return keys;
}

function destinationsOf(adId: string, urls: unknown, name: string): readonly string[] {
  assertFits(Destinations, { [adId]: urls }, name, 'destinations.');
  const texts = urls as readonly string[];
  if (!adIdPattern.test(adId))
    throw new ConfigError(brokenRule(`${name}: destinations: an ad`, adId, 'must be 1 to 128 of A-Z a-z 0-9 . _ : -'));
  const wrong = texts.find(url => !isDestination(url));
  if (wrong !== undefined) throw new ConfigError(brokenRule(`${name}: destinations.${adId}`, wrong, destinationRule));
  return texts;
}

function jsonIn(bytes: Buffer, name: string): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    // The parser's own message shows a part of the text, in which secrets are.
    throw new ConfigError(`${name}: must be JSON`);
  }
}

function assertFits<T extends TSchema>(
  schema: T,
  value: unknown,
  name: string,
  above = '',
): asserts value is Static<T> {
  if (Value.Check(schema, value)) return;
  const [first] = Value.Errors(schema, value);
  if (first === undefined) return;
  const place = above + first.instancePath.slice(1).replaceAll('/', '.') || 'the whole';
  const secretRule = 'must be 43 to 128 of A-Z a-z 0-9 _ -, as 32 random bytes in base64url are';
  throw new ConfigError(`${name}: ${place} ${place.endsWith('.secret') ? secretRule : ruleOf(first)}`);
}

function timeOf(field: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const time = parseTime(text);
  if (time === undefined) throw new ConfigError(brokenRule(field, text, 'must be RFC 3339, as 2026-11-01T00:00:00Z'));
  return time;
}
