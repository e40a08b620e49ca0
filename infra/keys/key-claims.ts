/**
 * Decides which keys are made where several processes make some at once: no ad belongs to two tenants, and there are at
 * most so many keys. Each process checks that before it writes, and none knows what another one writes at that moment.
 * So the order of the log decides, in every process alike: of two keys that cannot both be, the one that was read first
 * is made, and the other is void, which is as if it had never been written. Pure, and without a clock.
 *
 * What is void stays so, whatever is read later. Otherwise the revocation of the first key would bring the second one into
 * force, beside a third one that was made meanwhile. Compaction can change the order, because of a record that was written
 * twice it leaves the later copy. So who has written a void key marks it as void (key-record.ts), and a mark holds wherever
 * it stands.
 */
import type { KeyChange } from './key-record.ts';
import { operatorAtBroker } from './key-record.ts';
import { PrefixIndex } from './prefix-index.ts';
import { type Tenant, tenantOf } from './tenant.ts';

/** The most keys that can be made, including those that have ended, because all of them are kept. */
export const mostKeys = 10_000;

/**
 * From so many ids on, void ones too, no process makes a further key. Void keys take nobody's place among `mostKeys`, but
 * every process keeps them for ever, so they cannot be without a limit.
 */
export const mostKeyIds = mostKeys + mostKeys / 2;

/** Why a key is void. `ads`: they belong to the tenant `other`, of which the key `by` was made first. */
export type VoidKey =
  | { readonly why: 'ads'; readonly by: string; readonly own: string; readonly prefix: string; readonly other: string }
  | { readonly why: 'too_many' | 'marked' };

type Created = Extract<KeyChange, { readonly kind: 'created' }>;
type Revoked = Extract<KeyChange, { readonly kind: 'revoked' }>;

/** The places are those in the order in which changes were read first. */
interface Claim {
  readonly id: string;
  created?: { readonly at: number; readonly expiresAt: number; readonly by: string; readonly place: number };
  tenant?: Tenant | undefined;
  revoked?: { readonly at: number; readonly place: number };
  isMarked: boolean;
}

export class KeyClaims {
  #read = 0;
  readonly #claims = new Map<string, Claim>();
  /** Those whose creation was read, in that order. */
  readonly #made: Claim[] = [];
  readonly #byPrefix = new PrefixIndex<Claim>();
  #void = new Map<string, VoidKey>();

  voidOf(id: string): VoidKey | undefined {
    return this.#void.get(id);
  }

  created(change: Created): void {
    const claim = this.#claimOf(change.id);
    if (claim.created !== undefined) return;
    const { at, expires_at: expiresAt = Number.POSITIVE_INFINITY, by } = change;
    claim.created = { at, expiresAt, by, place: ++this.#read };
    claim.tenant = tenantOf({ created: change });
    this.#made.push(claim);
    for (const prefix of claim.tenant?.adIdPrefixes ?? []) this.#byPrefix.add(prefix, claim);
    this.#judge(claim, this.#made.length - 1);
  }

  /** Returns the ids of the other keys that are void now, or not any more. That is seldom. */
  revoked({ id, at, void: isMark }: Revoked): readonly string[] {
    const claim = this.#claimOf(id);
    const wasMarked = claim.isMarked;
    claim.isMarked ||= isMark === true;
    claim.revoked = { at: Math.min(at, claim.revoked?.at ?? at), place: claim.revoked?.place ?? ++this.#read };
    const isNewMark = claim.isMarked && !wasMarked;
    if (isNewMark && claim.created !== undefined && !this.#void.has(id)) return this.#judgeAll();
    const isReason = [...this.#void].some(
      ([other, found]) => found.why === 'ads' && found.by === id && isOver(claim, this.#claimOf(other)),
    );
    return isReason ? this.#judgeAll() : [];
  }

  #claimOf(id: string): Claim {
    const claim = this.#claims.get(id) ?? { id, isMarked: false };
    this.#claims.set(id, claim);
    return claim;
  }

  #judgeAll(): readonly string[] {
    const before = this.#void;
    this.#void = new Map();
    for (const [i, claim] of this.#made.entries()) this.#judge(claim, i);
    return this.#made.map(({ id }) => id).filter(id => before.has(id) !== this.#void.has(id));
  }

  /** `i`: its place among those that were made. All before it are judged. */
  #judge(claim: Claim, i: number): void {
    const found = claim.isMarked ? ({ why: 'marked' } as const) : (this.#taken(claim) ?? this.#tooMany(claim, i));
    if (found) this.#void.set(claim.id, found);
  }

  /** Whoever is at the broker must be able to make the one key with which all others can be ended. */
  #tooMany({ created }: Claim, i: number): VoidKey | undefined {
    return i - this.#void.size >= mostKeys && created?.by !== operatorAtBroker ? { why: 'too_many' } : undefined;
  }

  #taken(claim: Claim): VoidKey | undefined {
    const { tenant, created } = claim;
    for (const own of tenant?.adIdPrefixes ?? [])
      for (const { prefix, value: first } of this.#byPrefix.sharing(own)) {
        if (first.tenant === undefined || first.tenant.id === tenant?.id) continue;
        if (!isBefore(first, created) || isOver(first, claim) || this.#void.has(first.id)) continue;
        return { why: 'ads', by: first.id, own, prefix, other: first.tenant.id };
      }
    return undefined;
  }
}

function isBefore({ created: first }: Claim, second: Claim['created']): boolean {
  return first !== undefined && second !== undefined && first.place < second.place;
}

/** Whether the first key had ended before the second one was made. */
function isOver({ created, revoked, isMarked }: Claim, { created: second }: Claim): boolean {
  if (created === undefined || second === undefined || isMarked) return true;
  if (created.expiresAt <= second.at) return true;
  // By its time, too, because a copied topic may have it later.
  return revoked !== undefined && (revoked.place < second.place || revoked.at <= second.at);
}
