/**
 * Holds the API keys that one process knows, as the changes of topic `keys` make them (key-record.ts). It is pure and has
 * no clock.
 *
 * The repetition of changes does not matter, and their order only between those that cannot both hold: a revocation holds
 * whenever it is read, and of the secrets and of the quotas of a key the newest by the time of their change. Which of two
 * keys with ads in common is made, and which of two rotations of the same secret holds, is decided by the order of the log
 * (key-claims.ts, key-rotations.ts). Who has written the other one asks for its fate, and does not show its secret.
 */
import { Corrupt } from '../errors.ts';
import type { LogRecord } from '../kafka/record-batch.ts';
import type { OwnQuotas } from '../quotas/quotas.ts';
import { KeyClaims, mostKeys, type VoidKey } from './key-claims.ts';
import { type KeyChange, keyChangeOf } from './key-record.ts';
import { KeyRotations } from './key-rotations.ts';
import { type Tenant, tenantOf } from './tenant.ts';

export interface Secret {
  /** SHA-256. */
  readonly hash: Buffer;
  /** Checks the sessions that were begun with it (session-text.ts). Older releases made secrets without. */
  readonly sessionKey: string | undefined;
  /** From then on it is not valid any more, in epoch ms. */
  readonly until: number;
}

type Change<Kind extends KeyChange['kind']> = Extract<KeyChange, { readonly kind: Kind }>;

export interface Key {
  readonly id: string;
  readonly created: Change<'created'>;
  /** The last one, if any. */
  readonly rotated: Change<'rotated'> | undefined;
  /** The last change of its quotas, if any. */
  readonly limited: Change<'limited'> | undefined;
  readonly revoked: Change<'revoked'> | undefined;
  /** Those that it has for itself. */
  readonly quotas: OwnQuotas;
  /** The newest first. */
  readonly secrets: readonly Secret[];
}

/**
 * A topic with more ids is considered damaged. Between them and `mostKeyIds` there is room for what processes write at
 * once: each makes one key at a time, and reads the log to its end before.
 */
const mostKeysRead = 2 * mostKeys;

/** What has become of a change: it holds, or it is void because of another one that was written first. */
export type Fate = 'holds' | VoidKey | { readonly why: 'rotated' };

export class KeyBook {
  readonly #found = new Map<string, Found>();
  readonly #keys = new Map<string, Key>();
  readonly #claims = new KeyClaims();

  /** @throws Corrupt, and then what the book says must not be used any more */
  take(record: LogRecord): void {
    const change = keyChangeOf(record);
    const found = this.#found.get(change.id) ?? {};
    this.#found.set(change.id, found);
    if (this.#found.size > mostKeysRead) throw new Corrupt(`topic keys holds more than ${mostKeysRead} keys`);
    this.#take(change, found);
    this.#put(change.id);
  }

  #take(change: KeyChange, found: Found): void {
    switch (change.kind) {
      case 'created':
        found.created ??= change;
        this.#claims.created(change);
        return;
      case 'rotated':
        found.rotations ??= new KeyRotations();
        found.rotations.take(change);
        return;
      case 'limited':
        if (found.limited === undefined || isNewer(change, found.limited)) found.limited = change;
        return;
      case 'revoked':
        if (found.revoked === undefined || change.at < found.revoked.at) found.revoked = change;
        for (const other of this.#claims.revoked(change)) this.#put(other);
    }
  }

  /** A key that has changed is another object, by which those know it who remember it. */
  #put(id: string): void {
    const key = keyOf(id, this.#found.get(id) ?? {});
    if (key && this.#claims.voidOf(id) === undefined) this.#keys.set(id, key);
    else this.#keys.delete(id);
  }

  /** Undefined: it was not read yet. */
  fateOf(change: Change<'created'> | Change<'rotated'>): Fate | undefined {
    const found = this.#found.get(change.id);
    if (change.kind === 'created')
      return found?.created === undefined ? undefined : (this.#claims.voidOf(change.id) ?? 'holds');
    const isVoid = found?.rotations?.isVoid(change);
    return isVoid === undefined ? undefined : isVoid ? { why: 'rotated' } : 'holds';
  }

  get(id: string): Key | undefined {
    return this.#keys.get(id);
  }

  get size(): number {
    return this.#keys.size;
  }

  /** How many ids were read, void ones too. */
  get ids(): number {
    return this.#found.size;
  }

  /** The newest first. */
  list(): Key[] {
    return [...this.#keys.values()].sort((a, b) => b.created.at - a.created.at || (a.id < b.id ? -1 : 1));
  }
}

export function isUsable(key: Key, now: number): boolean {
  return stateOf(key, now) === 'usable';
}

export function stateOf({ created, revoked }: Key, now: number): 'usable' | 'expired' | 'revoked' {
  if (revoked !== undefined) return 'revoked';
  return now >= (created.expires_at ?? Number.POSITIVE_INFINITY) ? 'expired' : 'usable';
}

/** The tenants of the keys that can still be used. */
export function tenantsIn(keys: readonly Key[], now: number): Tenant[] {
  return keys.flatMap(key => (isUsable(key, now) ? (tenantOf(key) ?? []) : []));
}

/** What is known of a key. A copied topic may have its changes before its creation. */
interface Found {
  created?: Change<'created'>;
  limited?: Change<'limited'>;
  revoked?: Change<'revoked'>;
  rotations?: KeyRotations;
}

const noQuotas: OwnQuotas = {};
const noRotations = new KeyRotations();

function isNewer(change: Change<'limited'>, known: Change<'limited'>): boolean {
  return change.at > known.at || (change.at === known.at && change.change > known.change);
}

function keyOf(id: string, { created, limited, revoked, rotations = noRotations }: Found): Key | undefined {
  if (created === undefined) return undefined;
  const secrets = rotations.secrets(created);
  const [newest] = secrets;
  return {
    id,
    created,
    limited,
    revoked,
    quotas: limited?.quotas ?? created.quotas ?? noQuotas,
    rotated: newest?.kind === 'rotated' ? newest : undefined,
    secrets: secrets.map((change, i) => {
      const next = secrets[i - 1];
      const until = next?.kind === 'rotated' ? next.previous_until : Number.POSITIVE_INFINITY;
      return { hash: Buffer.from(change.secret_sha256, 'hex'), sessionKey: change.session_key, until };
    }),
  };
}
