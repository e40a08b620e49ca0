/**
 * Changes API keys: writes what has changed into the log, then waits until this process has read it back, so that the
 * answer is true here, and everywhere else a moment later.
 *
 * Other processes do the same, and what two of them have decided at once may not hold together. Then the order of the log
 * decides (infra/keys/key-book.ts), and who was second hears it (409). The secret that he would have got is shown to nobody.
 */
import { brokenRule } from '../../../infra/broken-rule.ts';
import { Retryable } from '../../../infra/errors.ts';
import { Problem } from '../../../infra/http.ts';
import { type Fate, isUsable, type Key, type KeyBook, stateOf, tenantsIn } from '../../../infra/keys/key-book.ts';
import { mostKeyIds, mostKeys } from '../../../infra/keys/key-claims.ts';
import type { KeyChange } from '../../../infra/keys/key-record.ts';
import {
  brokenKeyRule,
  createdKey,
  type Doer,
  limitedKey,
  type MadeKey,
  revokedKey,
  rotatedKey,
  voidMark,
  type WantedKey,
} from '../../../infra/keys/new-key.ts';
import { pause } from '../../../infra/pause.ts';
import { invalid } from '../../../infra/problem.ts';
import type { OwnQuotas } from '../../../infra/quotas/quotas.ts';
import { inTurn } from '../../http/in-turn.ts';
import { isoOf } from '../../http/parameters.ts';

export interface KeyChangesDeps {
  readonly book: Pick<KeyBook, 'get' | 'list' | 'size' | 'ids' | 'fateOf'>;
  /** Reads the log of keys to its present end. @throws Retryable */
  readonly readToEnd: () => Promise<void>;
  /** @throws Retryable */
  readonly append: (change: KeyChange) => Promise<void>;
  /** Epoch ms. */
  readonly now: () => number;
  readonly withinMs?: number;
}

/** A key, and the text of it that is shown once. */
export interface ShownOnce {
  readonly key: Key;
  readonly text: string;
}

export interface KeyChanges {
  /** @throws Problem, Retryable */
  create(wanted: WantedKey, doer: Doer): Promise<ShownOnce>;
  /** The secret that is in force now stays so for `overlapMs`. @throws Problem, Retryable */
  rotate(id: string, overlapMs: number, doer: Doer): Promise<ShownOnce>;
  /** Replaces all quotas that the key has of its own. @throws Problem, Retryable */
  limit(id: string, quotas: OwnQuotas, doer: Doer): Promise<Key>;
  /** What was revoked before stays as it is. @throws Problem, Retryable */
  revoke(id: string, doer: Doer): Promise<Key>;
}

export function createKeyChanges(deps: KeyChangesDeps): KeyChanges {
  const { book, readToEnd, now } = deps;
  const { existing, changed, shown } = changing(deps);
  // Decided one after the other, each by all that was written before it. Others may still write between the two.
  const turns = inTurn('changes of keys');
  return {
    create: (wanted, doer) =>
      turns(async () => {
        const broken = brokenKeyRule(wanted, now());
        if (broken) throw invalid(broken.field, broken.value, broken.rule, broken.advice);
        await readToEnd();
        requireRules(wanted, book, now());
        return await shown(createdKey(wanted, doer, now()), doer);
      }),
    rotate: (id, overlapMs, doer) =>
      turns(async () => {
        await readToEnd();
        const key = await existing(id);
        if (!isUsable(key, now()))
          throw new Problem(409, 'key_ended', `key ${id} is ${stateOf(key, now())}: make another`);
        if (overlapMs > 0) refuseSecondOverlap(key, now());
        return await shown(rotatedKey(key, overlapMs, doer, now()), doer);
      }),
    async limit(id, quotas, doer) {
      const key = await existing(id);
      if (key.revoked) throw new Problem(409, 'key_ended', `key ${id} is revoked: make another`);
      const change = limitedKey(key, quotas, doer, now());
      return await changed(change, ({ limited }) => limited !== undefined && limited.at >= change.at);
    },
    async revoke(id, doer) {
      const key = await existing(id);
      if (key.revoked) return key;
      return await changed(revokedKey(id, doer, now()), ({ revoked }) => revoked !== undefined);
    },
  };
}

/** What the changes have in common. */
function changing({ book, readToEnd, append, now, withinMs = 5_000 }: KeyChangesDeps) {
  const existing = async (id: string): Promise<Key> => {
    const known = book.get(id);
    if (known) return known;
    // Another process may have made it a moment ago. Whoever wants to revoke it must not be told that there is none.
    await readToEnd();
    const key = book.get(id);
    if (key) return key;
    throw new Problem(404, 'not_found', brokenRule('id', id, 'there is no such key', 'GET /v1/keys lists them'));
  };
  const written = async <T>(change: KeyChange, seen: () => T | undefined): Promise<T> => {
    await append(change);
    for (let waitedMs = 0; ; waitedMs += pollMs) {
      const found = seen();
      if (found !== undefined) return found;
      if (waitedMs >= withinMs)
        throw new Retryable(`API key ${change.id}: written, and not read back in ${withinMs} ms`);
      await pause(pollMs);
    }
  };
  const changed = async (change: KeyChange, isSeen: (key: Key) => boolean): Promise<Key> =>
    await written(change, () => {
      const key = book.get(change.id);
      return key && isSeen(key) ? key : undefined;
    });
  const shown = async (made: MadeKey, doer: Doer): Promise<ShownOnce> => {
    const fate = await written(made.change, () => book.fateOf(made.change));
    if (fate !== 'holds') {
      // It is void without a mark, too. The mark is for older releases, and for a log that was compacted or copied.
      await append(voidMark(made, doer, now())).catch(() => undefined);
      throw secondOf(made, fate);
    }
    const key = book.get(made.change.id);
    if (key && isUsable(key, now())) return { key, text: made.text };
    throw new Problem(409, 'key_ended', `key ${made.change.id} has ended meanwhile: make another`);
  };
  return { existing, changed, shown };
}

const pollMs = 20;

/** @throws Problem */
function requireRules(wanted: WantedKey, book: KeyChangesDeps['book'], now: number): void {
  const broken = brokenKeyRule(wanted, now, tenantsIn(book.list(), now));
  if (broken) throw invalid(broken.field, broken.value, broken.rule, broken.advice);
  if (book.size >= mostKeys) throw tooManyKeys();
  if (book.ids >= mostKeyIds)
    throw tooManyKeys(`${mostKeyIds} keys are in topic keys, those included that others have made void`);
}

function tooManyKeys(are = `${mostKeys} keys have been made`): Problem {
  return new Problem(409, 'too_many_keys', `${are}, which is the most: rotate those there are`);
}

/** What was decided by a log in which another process has written something in between. */
function secondOf({ change }: MadeKey, fate: Exclude<Fate, 'holds'>): Problem {
  switch (fate.why) {
    case 'too_many':
      return tooManyKeys();
    case 'ads': {
      const detail = `no key was made: tenant.ad_id_prefixes is "${fate.own}", and a key for tenant ${fate.other} with ${fate.prefix}, which has ads in common with it, was made in the same moment`;
      return new Problem(409, 'ads_taken', detail);
    }
    case 'rotated': {
      const detail = `key ${change.id} was rotated in the same moment by somebody else, and this rotation does not hold: look who it was (GET /v1/keys), and rotate again`;
      return new Problem(409, 'rotated_meanwhile', detail);
    }
    case 'marked':
      return new Problem(409, 'key_ended', `no key was made: key ${change.id} is marked as void in topic keys`);
  }
}

/** At most two secrets are valid, so another rotation would end one that should still be valid. */
function refuseSecondOverlap({ id, secrets }: Key, now: number): void {
  const until = secrets[1]?.until ?? 0;
  if (until <= now) return;
  const detail = `the secret of key ${id} before the last rotation is valid until ${isoOf(until)}: rotate again then, or with overlap_s 0, which ends all others at once`;
  throw new Problem(409, 'overlap_runs', detail);
}
