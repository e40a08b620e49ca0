/**
 * CONTRACT: defines the records of topic `keys`, which say what API keys there are.
 *
 * A record is a change of a key and never its state, because several processes write here, and of two states the later
 * one would undo the other: a rotation that was decided before a revocation would bring the key back. Each change has a
 * record key of its own, so compaction removes none, and the topic is also the record of who changed what. A key is
 * what all of its changes make of it together (key-book.ts), in whatever order and however often they are read. So a
 * topic that is copied, restored or replayed does not make a revoked key valid again.
 *
 * | record, each of format 1 | key | value |
 * | --- | --- | --- |
 * | created | `<id>` | `{"id","label","scopes","ad_id_prefix"?,"expires_at"?,"secret_sha256","session_key"?,"at","by","from"?}` |
 * | rotated: another secret | `<id>\|<change>` | `{"id","change","secret_sha256","session_key"?,"previous_until","at","by","from"?}` |
 * | revoked: for good | `<id>\|revoked` | `{"id","at","by","from"?}` |
 *
 * Times are epoch ms. `by` is the id of the key with which it was done, or `operator at the broker`; `from` is the
 * client's address. Of the secret there is only SHA-256, in hex, and the public key that checks sessions which were begun
 * with it (session-text.ts); a secret that an older release has made has none, and begins no session. A scope that a release does not know allows
 * nothing there. A field that limits what a key may do is therefore a new format: a release that ignored it would let
 * in more than it should. After a record that it cannot read, a process accepts no key (infra/kafka/record-contract.ts).
 */
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { Corrupt } from '../errors.ts';
import type { OutgoingRecord } from '../kafka/outgoing-record.ts';
import type { LogRecord } from '../kafka/record-batch.ts';
import { assertKnown, formatHeader, recordContract } from '../kafka/record-contract.ts';
import { keyIdPattern } from './key-text.ts';
import { sessionKeyPattern } from './session-text.ts';

/** The author of changes that are written to the topic without a key. */
export const operatorAtBroker = 'operator at the broker';

const time = Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 });
const id = Type.String({ pattern: keyIdPattern.source });
const secret = {
  secret_sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  session_key: Type.Optional(Type.String({ pattern: sessionKeyPattern.source })),
};
const who = { at: time, by: Type.String({ minLength: 1 }), from: Type.Optional(Type.String()) };

const CreatedValue = Type.Object({
  id,
  label: Type.String(),
  scopes: Type.Array(Type.String(), { minItems: 1 }),
  ad_id_prefix: Type.Optional(Type.String({ minLength: 1 })),
  expires_at: Type.Optional(time),
  ...secret,
  ...who,
});
const RotatedValue = Type.Object({ id, change: id, ...secret, previous_until: time, ...who });
const RevokedValue = Type.Object({ id, ...who });

const values = { created: CreatedValue, rotated: RotatedValue, revoked: RevokedValue } as const;

export type KeyChange =
  | ({ readonly kind: 'created' } & Readonly<Static<typeof CreatedValue>>)
  | ({ readonly kind: 'rotated' } & Readonly<Static<typeof RotatedValue>>)
  | ({ readonly kind: 'revoked' } & Readonly<Static<typeof RevokedValue>>);

/** The kinds and formats that this release can read. */
const contract = recordContract({ created: [1], rotated: [1], revoked: [1] });

/** @throws Corrupt for any other record. A reader that skipped it might skip a revocation */
export function keyChangeOf(record: LogRecord): KeyChange {
  const { offset, value, headers = {} } = record;
  assertKnown(contract, { topic: 'keys', partition: 0 }, record);
  const kind = String(headers['kind']) as KeyChange['kind'];
  const schema: TSchema = values[kind];
  const json = parsed(String(value));
  // The value is not shown. It holds no secret, but what is wrong with it is unknown.
  if (!Value.Check(schema, json)) throw new Corrupt(`topic keys, offset ${offset}: the value is no "${kind}" record`);
  return { kind, ...(json as object) } as KeyChange;
}

/** Ensures that no record is written at which all readers would stop. */
export function keyRecord({ kind, ...value }: KeyChange): OutgoingRecord {
  if (!Value.Check(values[kind] as TSchema, value)) throw new TypeError(`a "${kind}" record that nobody could read`);
  return {
    partition: 0,
    key: kind === 'created' ? value.id : `${value.id}|${'change' in value ? value.change : 'revoked'}`,
    value: JSON.stringify(value),
    headers: { kind, ...formatHeader(1) },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
