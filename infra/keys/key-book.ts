/**
 * Holds the API keys that one process knows, as the changes of topic `keys` make them (key-record.ts). It is pure and has
 * no clock.
 *
 * The order of changes, and their repetition, does not matter: a revocation holds whenever it is read, and of the
 * secrets of a key the newest by the time of its change is in force. The one before it is in force until the time that
 * its successor has set; older ones are not, even if an overlap for them has not ended. Of the quotas of a key, the
 * newest by the time of their change hold, all together.
 */
import { Corrupt } from '../errors.ts';
import type { LogRecord } from '../kafka/record-batch.ts';
import type { OwnQuotas } from '../quotas/quotas.ts';
import { type KeyChange, keyChangeOf } from './key-record.ts';
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

/** The most keys that can be made, including those that have ended, because all of them are kept. */
export const mostKeys = 10_000;
/** A topic with more keys is considered damaged, because no process makes so many. */
const mostKeysRead = 2 * mostKeys;

export class KeyBook {
  readonly #found = new Map<string, Found>();
  readonly #keys = new Map<string, Key>();

  /** @throws Corrupt, and then what the book says must not be used any more */
  take(record: LogRecord): void {
    const change = keyChangeOf(record);
    const found = this.#found.get(change.id) ?? { secrets: [] };
    this.#found.set(change.id, found);
    if (this.#found.size > mostKeysRead) throw new Corrupt(`topic keys holds more than ${mostKeysRead} keys`);
    if (change.kind === 'revoked') {
      if (found.revoked === undefined || change.at < found.revoked.at) found.revoked = change;
    } else if (change.kind === 'limited') {
      if (found.limited === undefined || isNewer(change, found.limited)) found.limited = change;
    } else {
      if (change.kind === 'created') found.created ??= change;
      addSecret(found.secrets, change);
    }
    const key = keyOf(change.id, found);
    if (key) this.#keys.set(change.id, key);
  }

  get(id: string): Key | undefined {
    return this.#keys.get(id);
  }

  get size(): number {
    return this.#keys.size;
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
  /** The two newest changes that brought a secret, the newest first. */
  readonly secrets: (Change<'created'> | Change<'rotated'>)[];
}

function addSecret(secrets: Found['secrets'], change: Change<'created'> | Change<'rotated'>): void {
  if (secrets.some(known => nameOf(known) === nameOf(change))) return;
  secrets.push(change);
  secrets.sort((a, b) => orderOf(b) - orderOf(a) || (nameOf(a) > nameOf(b) ? -1 : 1));
  secrets.splice(secretsInForce);
}

const secretsInForce = 2;

const noQuotas: OwnQuotas = {};

/** A rotation comes after the creation, whatever the clocks of those who wrote them said. */
function orderOf(change: Change<'created'> | Change<'rotated'>): number {
  return change.kind === 'created' ? Number.NEGATIVE_INFINITY : change.at;
}

function nameOf(change: Change<'created'> | Change<'rotated'>): string {
  return change.kind === 'created' ? '' : change.change;
}

function isNewer(change: Change<'limited'>, known: Change<'limited'>): boolean {
  return change.at > known.at || (change.at === known.at && change.change > known.change);
}

function keyOf(id: string, { created, limited, revoked, secrets }: Found): Key | undefined {
  if (created === undefined) return undefined;
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
