/** API keys for tests, by the records that would be in topic `keys`. */

import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { KeyBook } from '../../infra/keys/key-book.ts';
import { createKeyCheck } from '../../infra/keys/key-check.ts';
import type { KnownKeys } from '../../infra/keys/key-gate.ts';
import { type KeyChange, keyRecord } from '../../infra/keys/key-record.ts';
import { createdKey, type WantedKey } from '../../infra/keys/new-key.ts';
import { createSessionCheck } from '../../infra/keys/session-check.ts';

/** As it is read back. */
export function keyLogRecord(change: KeyChange, offset = 0): LogRecord {
  const { key = '', value, headers } = keyRecord(change);
  return {
    offset,
    timestamp: change.at,
    key: Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers: headers as LogRecord['headers'],
  } as LogRecord;
}

export interface KeysInMemory extends KnownKeys {
  readonly book: KeyBook;
  /** Every change, in order. */
  readonly changes: readonly KeyChange[];
  append(change: KeyChange): Promise<void>;
  readToEnd(): Promise<void>;
  /** Returns the key's text. */
  add(wanted: Partial<WantedKey> & { readonly scopes: readonly string[] }, now?: number): string;
}

export function keysInMemory(): KeysInMemory {
  const book = new KeyBook();
  const changes: KeyChange[] = [];
  const take = (change: KeyChange) => {
    changes.push(change);
    book.take(keyLogRecord(change, changes.length - 1));
  };
  return {
    book,
    changes,
    check: createKeyCheck(id => book.get(id)),
    checkSession: createSessionCheck(id => book.get(id)),
    refusal: () => undefined,
    append: async change => take(change),
    readToEnd: async () => {},
    add(wanted, now = Date.now()) {
      const { text, change } = createdKey({ label: 'a test', ...wanted }, { by: 'operator at the broker' }, now);
      take(change);
      return text;
    },
  };
}

export function bearer(text: string): { readonly authorization: string } {
  return { authorization: `Bearer ${text}` };
}
