/** Makes an API key: the rules for what may be asked for, the text that is shown once, and the record. Pure but for chance. */
import type { Key } from './key-book.ts';
import type { KeyChange } from './key-record.ts';
import { mintKeyId, mintKeyText, parseKeyText } from './key-text.ts';
import { scopeNames } from './scopes.ts';
import { sessionKeyOf } from './session-text.ts';

/** What is asked for. Times are epoch ms. */
export interface WantedKey {
  readonly label: string;
  readonly scopes: readonly string[];
  readonly expiresAt?: number | undefined;
  readonly adIdPrefix?: string | undefined;
}

/** Who does it, and from which address, if it is done over HTTP. */
export interface Doer {
  readonly by: string;
  readonly from?: string;
}

export interface BrokenKeyRule {
  readonly field: 'label' | 'scopes' | 'expires_at' | 'ad_id_prefix';
  readonly value: unknown;
  readonly rule: string;
  readonly advice?: string;
}

export const adIdPrefixPattern = /^[A-Za-z0-9._:-]{1,128}$/;
export const maxLabelLength = 100;

/** Returns the first rule that is broken, if any. */
export function brokenKeyRule(
  { label, scopes, expiresAt, adIdPrefix }: WantedKey,
  now: number,
): BrokenKeyRule | undefined {
  if (!isLabel(label))
    return {
      field: 'label',
      value: label,
      rule: `must be 1 to ${maxLabelLength} characters without control characters`,
    };
  const unknown = scopes.find(scope => !(scopeNames as readonly string[]).includes(scope));
  if (unknown !== undefined || scopes.length === 0)
    return { field: 'scopes', value: unknown, rule: `must be one or several of ${scopeNames.join(', ')}` };
  if (new Set(scopes).size < scopes.length)
    return { field: 'scopes', value: scopes, rule: 'must name each scope once' };
  if (expiresAt !== undefined && expiresAt <= now)
    return { field: 'expires_at', value: new Date(expiresAt).toISOString(), rule: 'must lie in the future' };
  if (adIdPrefix === undefined) return undefined;
  if (!adIdPrefixPattern.test(adIdPrefix))
    return { field: 'ad_id_prefix', value: adIdPrefix, rule: 'must be 1 to 128 of A-Z a-z 0-9 . _ : -' };
  const further = scopes.find(scope => scope !== 'ingest');
  if (further === undefined) return undefined;
  return {
    field: 'ad_id_prefix',
    value: adIdPrefix,
    rule: `may stand with scope ingest alone, and ${further} is asked for, too`,
    advice: 'it limits which ads are written, and not yet which are read: make two keys',
  };
}

export interface MadeKey {
  /** Is shown once. */
  readonly text: string;
  readonly change: KeyChange;
}

/** The rules must hold. */
export function createdKey({ label, scopes, expiresAt, adIdPrefix }: WantedKey, doer: Doer, now: number): MadeKey {
  const { keyId, text } = mintKeyText();
  return {
    text,
    change: {
      kind: 'created',
      id: keyId,
      label,
      scopes: [...scopes],
      ...(adIdPrefix === undefined ? {} : { ad_id_prefix: adIdPrefix }),
      ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
      ...storedOf(text),
      at: now,
      ...doer,
    },
  };
}

/** A key with another secret. The one that is in force now stays so for `overlapMs`. */
export function rotatedKey(key: Key, overlapMs: number, doer: Doer, now: number): MadeKey {
  const { text } = mintKeyText(key.id);
  // The newest change is in force, and the clocks of two processes may differ.
  const at = Math.max(now, (key.rotated?.at ?? 0) + 1);
  const previous_until = now + overlapMs;
  return {
    text,
    change: {
      kind: 'rotated',
      id: key.id,
      change: mintKeyId(),
      ...storedOf(text),
      previous_until,
      at,
      ...doer,
    },
  };
}

/** What is stored of a secret. Neither tells it. */
function storedOf(text: string) {
  return { secret_sha256: parseKeyText(text)?.secretHash.toString('hex') ?? '', session_key: sessionKeyOf(text) };
}

function isLabel(label: string): boolean {
  return label.trim() !== '' && label.length <= maxLabelLength && !/\p{Cc}/u.test(label) && label.isWellFormed();
}
