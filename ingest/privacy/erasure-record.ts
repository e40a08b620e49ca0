/**
 * CONTRACT: defines the records of topic `erasures`, by which every ClickHouse node erases a person, and goes on erasing:
 * older clicks that are read from the log again come in erased.
 *
 * A record names no person. It has a hash of each text under which the person's clicks may be kept (the id itself, and
 * its hashes by each key). Whoever reads the topic can still try whether a guessed id is among them, as whoever reads
 * topic `clicks` can. So the topic is kept for only six weeks.
 *
 * Each text becomes a token of its own. Clicks that were those of one user stay those of one user, and unique users
 * stay as many as they were. Tokens are made with a random secret of the record. Without the record nobody finds out
 * which token a person has got, not even with the id and all keys. The same holds for addresses. What else says
 * something about a person is removed.
 *
 * An erasure of many persons has several records. Each of them is complete in itself.
 *
 * | record | format | key | value |
 * | --- | --- | --- | --- |
 * | erasure | 1 | `<id>/<part>` | `{"id","part","parts","persons","secret","forms"}` |
 *
 * `forms` are the hashes, 16 bytes each, one after another in base64. The append time of the record says what is erased
 * (`erasedUntil`). Times of the log do not depend on the clock of whoever asks.
 */
import { hash, randomBytes } from 'node:crypto';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { Corrupt } from '../../infra/errors.ts';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { assertKnown, formatHeader, recordContract } from '../../infra/kafka/record-contract.ts';
import { limits } from '../click.ts';

/** Its own, so that a list of hashed ids of somebody else has no hash in common with ours. */
export const formPrefix = 'adclicks erasure of ';

/** How many persons one request may name, and how many texts one record holds. */
export const mostPersons = 1_000;
const mostForms = 20_000;

export const erasureIdPattern = /^[0-9a-f]{32}$/;

const ErasureValue = Type.Object({
  id: Type.String({ pattern: erasureIdPattern.source }),
  part: Type.Integer({ minimum: 0 }),
  parts: Type.Integer({ minimum: 1 }),
  persons: Type.Integer({ minimum: 1 }),
  secret: Type.String({ minLength: 43 }),
  forms: Type.String({ pattern: '^[A-Za-z0-9_-]+$' }),
});

/** A record, read. */
export interface ErasurePart {
  readonly id: string;
  readonly part: number;
  readonly parts: number;
  /** Of the whole erasure. */
  readonly persons: number;
  /** When it was appended, in epoch ms. */
  readonly at: number;
  readonly secret: string;
  /** Hashes of texts, 32 hex digits each. */
  readonly forms: readonly string[];
}

/** Returns the hash by which a record names a text: 32 hex digits. */
export function formOf(userId: string | Uint8Array): string {
  const text = typeof userId === 'string' ? userId : Buffer.from(userId);
  const bytes = typeof text === 'string' ? formPrefix + text : Buffer.concat([Buffer.from(formPrefix), text]);
  return hash('sha256', bytes, 'hex').slice(0, 32);
}

/** Returns what is kept in place of the text: `erased:` and 22 characters. */
export function tokenOf(secret: string, form: string): string {
  return `erased:${hash('sha256', `${secret}\n${form}`, 'base64url').slice(0, 22)}`;
}

/**
 * Returns what is kept in place of an address of the person: an address of fd00::/8, as a hashed one is. The rules of
 * invalid clicks (ingest/validity/rules.ts) look at the clicks of a person at an address, so a recount needs to know
 * which clicks were at the same one.
 */
export function addressTokenOf(secret: string, ip: string): string {
  return `fd${hash('sha256', `${secret}\n${ip}`, 'hex').slice(0, 30)}`.match(/.{4}/g)!.join(':');
}

/**
 * Returns the time (epoch ms) from which on clicks are no longer erased, by the record that was appended at `at`.
 *
 * Nothing but the minute of a click decides, so a minute has all clicks of a person or none under the token, whenever they
 * are received. Rules of invalid clicks look at the persons of one minute: with two names in it, a person would have
 * each cap twice, and a recount would find other numbers than were billed. Clicks may be ahead of the clock. So this is
 * the end of the last minute of which a click may have been received before.
 */
export function erasedUntil(at: number): number {
  return (Math.floor((at + limits.maxAheadMs) / minuteMs) + 1) * minuteMs;
}

const minuteMs = 60_000;

/** `forms` are those of all persons. */
export function erasureRecords(forms: readonly string[], persons: number): { id: string; records: OutgoingRecord[] } {
  const id = randomBytes(16).toString('hex');
  const parts = Math.ceil(forms.length / mostForms);
  const records = Array.from({ length: parts }, (_, part): OutgoingRecord => {
    const own = forms.slice(part * mostForms, (part + 1) * mostForms);
    const value: Static<typeof ErasureValue> = {
      ...{ id, part, parts, persons },
      secret: randomBytes(32).toString('base64url'),
      forms: Buffer.from(own.join(''), 'hex').toString('base64url'),
    };
    return {
      partition: 0,
      key: `${id}/${part}`,
      value: JSON.stringify(value),
      headers: { kind: 'erasure', ...formatHeader(1) },
    };
  });
  return { id, records };
}

/** The kinds and formats that this release can read. */
const contract = recordContract({ erasure: [1] });

/** @throws Corrupt for any other record. A reader that skipped it would bring persons back */
export function readErasure(topic: string, record: LogRecord): ErasurePart {
  assertKnown(contract, { topic, partition: 0 }, record);
  const value = parsed(record.value);
  if (!Value.Check(ErasureValue, value))
    throw new Corrupt(`${topic}[0], offset ${record.offset}: is not the record of an erasure`);
  const hex = Buffer.from(value.forms, 'base64url').toString('hex');
  return { ...value, at: record.timestamp, forms: hex.match(/.{32}/g) ?? [] };
}

function parsed(value: Uint8Array | null): unknown {
  try {
    return JSON.parse(Buffer.from(value ?? []).toString());
  } catch {
    return undefined;
  }
}
