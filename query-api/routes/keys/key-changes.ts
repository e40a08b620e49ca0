/**
 * Changes API keys: writes what has changed into the log, then waits until this process has read it back, so that the
 * answer is true here, and everywhere else a moment later.
 */
import { brokenRule } from '../../../infra/broken-rule.ts';
import { Retryable } from '../../../infra/errors.ts';
import { Problem } from '../../../infra/http.ts';
import { isUsable, type Key, type KeyBook, mostKeys, stateOf, tenantsIn } from '../../../infra/keys/key-book.ts';
import type { KeyChange } from '../../../infra/keys/key-record.ts';
import {
  brokenKeyRule,
  createdKey,
  type Doer,
  limitedKey,
  type MadeKey,
  rotatedKey,
  type WantedKey,
} from '../../../infra/keys/new-key.ts';
import { pause } from '../../../infra/pause.ts';
import { invalid } from '../../../infra/problem.ts';
import type { OwnQuotas } from '../../../infra/quotas/quotas.ts';
import { isoOf } from '../../http/parameters.ts';

export interface KeyChangesDeps {
  readonly book: Pick<KeyBook, 'get' | 'list' | 'size'>;
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

export function createKeyChanges({ book, readToEnd, append, now, withinMs = 5_000 }: KeyChangesDeps): KeyChanges {
  const existing = async (id: string): Promise<Key> => {
    const known = book.get(id);
    if (known) return known;
    // Another process may have made it a moment ago. Whoever wants to revoke it must not be told that there is none.
    await readToEnd();
    const key = book.get(id);
    if (key) return key;
    throw new Problem(404, 'not_found', brokenRule('id', id, 'there is no such key', 'GET /v1/keys lists them'));
  };
  const written = async (change: KeyChange, isSeen: (key: Key) => boolean): Promise<Key> => {
    await append(change);
    for (let waitedMs = 0; ; waitedMs += pollMs) {
      const key = book.get(change.id);
      if (key && isSeen(key)) return key;
      if (waitedMs >= withinMs)
        throw new Retryable(`API key ${change.id}: written, and not read back in ${withinMs} ms`);
      await pause(pollMs);
    }
  };
  const shown = async ({ text, change }: MadeKey, isSeen: (key: Key) => boolean) => ({
    text,
    key: await written(change, isSeen),
  });
  return {
    async create(wanted, doer) {
      const broken = brokenKeyRule(wanted, now(), tenantsIn(book.list(), now()));
      if (broken) throw invalid(broken.field, broken.value, broken.rule, broken.advice);
      if (book.size >= mostKeys)
        throw new Problem(
          409,
          'too_many_keys',
          `${mostKeys} keys have been made, which is the most: rotate those there are`,
        );
      return await shown(createdKey(wanted, doer, now()), () => true);
    },
    async rotate(id, overlapMs, doer) {
      const key = await existing(id);
      if (!isUsable(key, now()))
        throw new Problem(409, 'key_ended', `key ${id} is ${stateOf(key, now())}: make another`);
      if (overlapMs > 0) refuseSecondOverlap(key, now());
      const made = rotatedKey(key, overlapMs, doer, now());
      return await shown(
        made,
        ({ rotated }) => rotated !== undefined && made.change.kind === 'rotated' && rotated.at >= made.change.at,
      );
    },
    async limit(id, quotas, doer) {
      const key = await existing(id);
      if (key.revoked) throw new Problem(409, 'key_ended', `key ${id} is revoked: make another`);
      const change = limitedKey(key, quotas, doer, now());
      return await written(change, ({ limited }) => limited !== undefined && limited.at >= change.at);
    },
    async revoke(id, doer) {
      const key = await existing(id);
      if (key.revoked) return key;
      return await written({ kind: 'revoked', id, at: now(), ...doer }, ({ revoked }) => revoked !== undefined);
    },
  };
}

const pollMs = 20;

/** At most two secrets are valid, so another rotation would end one that should still be valid. */
function refuseSecondOverlap({ id, secrets }: Key, now: number): void {
  const until = secrets[1]?.until ?? 0;
  if (until <= now) return;
  const detail = `the secret of key ${id} before the last rotation is valid until ${isoOf(until)}: rotate again then, or with overlap_s 0, which ends all others at once`;
  throw new Problem(409, 'overlap_runs', detail);
}
