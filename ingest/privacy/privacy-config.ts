/**
 * CONTRACT: defines the settings that say what is kept of personal data, and makes the rules and the keys out of them.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { type Static, Type } from 'typebox';
import { ConfigError, messageOf } from '../../infra/errors.ts';
import { readRegularFileSync } from '../../infra/regular-file.ts';
import type { PersonalDataRules } from './personal-data.ts';

/** The settings of every process that hashes, or that is asked about persons whose ids are hashed. */
export const PrivacyKeyConfig = Type.Object({
  PRIVACY_KEY_FILE: Type.String({
    default: '',
    description:
      'a file with the keys by which `user_id` and `ip` are hashed, one in each line: 43 to 128 of A-Z a-z 0-9 _ -, as 32 random bytes in base64url are. Ingest hashes with the first. The query API finds persons by all of them, so keep former keys for as long as their clicks. Whoever has a key can find out who a hash is',
  }),
});

export const PrivacyConfig = Type.Object({
  ...PrivacyKeyConfig.properties,
  INGEST_IP: Type.Union(
    [Type.Literal('full'), Type.Literal('truncated'), Type.Literal('hashed'), Type.Literal('none')],
    {
      default: 'full',
      description:
        'what is kept of the address of a click. `full`: all, as RFC 5952 spells it. `truncated`: the /24 of IPv4 and the /48 of IPv6. `hashed`: a keyed hash, in the form of an address of fd00::/8. `none`: nothing',
    },
  ),
  INGEST_USER_ID: Type.Union([Type.Literal('plain'), Type.Literal('hashed')], {
    default: 'plain',
    description: 'what is kept of the user id of a click. `plain`: all. `hashed`: a keyed hash, `hashed:…`',
  }),
  INGEST_USER_AGENT: Type.Union([Type.Literal('full'), Type.Literal('none')], {
    default: 'full',
    description:
      'what is kept of the user agent of a click. `full`: all. `none`: nothing; what it says of robots is found out before. Persons without a user id are then not told apart at one address',
  }),
  INGEST_HASH_SALT: Type.Union([Type.Literal('fixed'), Type.Literal('daily')], {
    default: 'fixed',
    description:
      '`fixed`: a person has the same hash for as long as the key is the same. `daily`: another one on each UTC day of the click, so nobody can be followed from day to day, and unique users of several days are counted once for each day',
  }),
});
export type PrivacyConfig = Static<typeof PrivacyConfig>;

/** @throws ConfigError when the key is needed and is not there, or when its file breaks a rule */
export function personalDataRulesOf(config: PrivacyConfig): PersonalDataRules {
  const { INGEST_IP: ip, INGEST_USER_ID: userId, INGEST_USER_AGENT: userAgent, INGEST_HASH_SALT: salt } = config;
  const [key] = privacyKeysOf(config);
  const hashing = [ip === 'hashed' && 'INGEST_IP', userId === 'hashed' && 'INGEST_USER_ID'].filter(Boolean);
  if (hashing.length > 0 && key === undefined)
    throw new ConfigError(`${hashing[0]}=hashed needs a key: set PRIVACY_KEY_FILE`);
  return { ip, userId, userAgent, salt, key };
}

/** Returns the keys of the file, the one in force first. None if no file is set. @throws ConfigError */
export function privacyKeysOf({ PRIVACY_KEY_FILE: path }: Static<typeof PrivacyKeyConfig>): readonly KeyObject[] {
  if (path === '') return [];
  const name = `PRIVACY_KEY_FILE=${path}`;
  const lines = textOf(path, name)
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
  if (lines.length === 0 || lines.length > maxKeys)
    throw new ConfigError(`${name}: must have 1 to ${maxKeys} keys, one in each line, and has ${lines.length}`);
  return lines.map((line, i) => {
    // The text is a secret, so the error does not show it.
    if (!/^[A-Za-z0-9_-]{43,128}$/.test(line))
      throw new ConfigError(
        `${name}: key ${i + 1} must be 43 to 128 of A-Z a-z 0-9 _ -, as 32 random bytes in base64url are`,
      );
    return createSecretKey(line, 'utf8');
  });
}

/** Each question about a person asks for the hashes of all keys. */
const maxKeys = 8;

function textOf(path: string, name: string): string {
  try {
    return readRegularFileSync(path).toString();
  } catch (error) {
    throw new ConfigError(`${name}: cannot be read (${messageOf(error)})`, { cause: error });
  }
}
