/**
 * CONTRACT: defines the records of topic `quota-members`, by which the processes that share quotas know of each other.
 *
 * Format 1, kind `beat`, with the member as the key:
 * `{"role","member","sent_ms","left"?,"demands":{"<key id>":units per second}}`
 *
 * `role` is what the process is (`ingest`, `query-api`); only processes of one role share. `member` is made anew at each
 * start. `sent_ms` is the monotonic clock of the writer and means nothing to others. A record is of interest for seconds,
 * so the topic keeps little, and there is no harm in losing all of it.
 */
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { Corrupt } from '../errors.ts';
import type { OutgoingRecord } from '../kafka/outgoing-record.ts';
import type { LogRecord } from '../kafka/record-batch.ts';
import { assertKnown, formatHeader, recordContract } from '../kafka/record-contract.ts';
import type { Beat } from './member-shares.ts';

/** A beat lists the keys that ask for the most, so that it stays small. */
export const mostDemands = 64;

const BeatValue = Type.Object({
  role: Type.String({ minLength: 1 }),
  member: Type.String({ minLength: 1, maxLength: 100 }),
  sent_ms: Type.Number(),
  left: Type.Optional(Type.Boolean()),
  demands: Type.Record(Type.String(), Type.Number({ minimum: 0 }), { maxProperties: mostDemands }),
});

const contract = recordContract({ beat: [1] });

/** @throws Corrupt for any other record */
export function beatOf(record: LogRecord): Beat & { readonly role: string; readonly appendedAt: number } {
  assertKnown(contract, { topic: 'quota-members', partition: 0 }, record);
  const value: unknown = parsed(String(record.value));
  if (!Value.Check(BeatValue, value))
    throw new Corrupt(`topic quota-members, offset ${record.offset}: the value is no beat`);
  const { role, member, sent_ms, left = false, demands } = value;
  return {
    ...{ role, member, sentAtMs: sent_ms, hasLeft: left },
    demands: new Map(Object.entries(demands)),
    appendedAt: Number(record.timestamp),
  };
}

export function beatRecord(role: string, { member, sentAtMs, hasLeft, demands }: Beat): OutgoingRecord {
  const value: Static<typeof BeatValue> = {
    ...{ role, member, sent_ms: sentAtMs },
    ...(hasLeft ? { left: true } : {}),
    demands: Object.fromEntries(demands),
  };
  return { partition: 0, key: member, value: JSON.stringify(value), headers: { kind: 'beat', ...formatHeader(1) } };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
