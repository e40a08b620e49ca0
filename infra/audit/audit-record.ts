/**
 * CONTRACT: defines the records of topic `audit`: who has done what, when, and from where. The sink copies them into
 * table `audit_record`, of which each is one row.
 *
 * A record is written **before** what it is about. So whatever was done has a record, and a record whose `status` is 0
 * says that it may have been done: nothing more is known of it. When it is known how it has ended, the whole record is
 * written once more, with the same `id` and a higher `step`, which replaces the first one where records are read. The
 * topic itself keeps both: nobody changes or compacts it.
 *
 * Neither secrets nor what is about the persons who click is ever in a record (http-audit.ts chooses the parameters).
 *
 * The header `kind` is `audit`, and the format is 1. Within the format, a record may gain fields (record-contract.ts).
 */
import { randomBytes } from 'node:crypto';
import type { OutgoingRecord } from '../kafka/outgoing-record.ts';
import { formatHeader } from '../kafka/record-contract.ts';

/**
 * `act`: something was to be changed. `read`: something about persons, keys or this log was to be read, or an export
 * was to begin. `refused`: a valid key was not enough for a request. `sign-in`: somebody began to use the pages.
 */
export type AuditKind = 'act' | 'read' | 'refused' | 'sign-in';

/** Who asks, as far as it is known. */
export interface Asker {
  /** The id of the key, `without a key` (on loopback, or with API_KEYS=off), or `operator at the broker`. */
  readonly by: string;
  /** The label of the key, or empty. */
  readonly name: string;
  /** The person, as an identity provider names them, or empty. */
  readonly subject: string;
  /** The address of the client (of IPv6: a /64), or empty for an operator at the broker, and for a request of another region. */
  readonly address: string;
}

/** What somebody asks for. */
export interface Asked extends Asker {
  readonly kind: AuditKind;
  /** The method and the route, such as `DELETE /v1/replays/:id`, or the command. */
  readonly action: string;
  readonly parameters: Readonly<Record<string, string>>;
}

export interface AuditEntry extends Asked {
  readonly id: string;
  /** Epoch ms, of the first request. */
  readonly at: number;
  /** Epoch ms, of the last request for which the entry stands. */
  readonly until: number;
  /** For how many requests the entry stands (repeated-reads.ts). */
  readonly requests: number;
  /** The status of the answer, the highest one if there are several; 0: not known. */
  readonly status: number;
  /** Of several records of an entry, the one with the highest step holds. */
  readonly step: number;
}

export const auditKind = 'audit';
export const auditFormat = 1;

/** Who asks over HTTP, and sends no key. */
export const withoutKey = 'without a key';

/** Returns the entry that is written before anything is done. */
export function auditEntry(asked: Asked, now: number): AuditEntry {
  const id = randomBytes(12).toString('base64url');
  return { ...asked, id, at: now, until: now, requests: 1, status: 0, step: 0 };
}

export function auditRecord(entry: AuditEntry): OutgoingRecord {
  const { by, address, ...rest } = entry;
  return {
    partition: 0,
    value: `${JSON.stringify({ ...rest, asked_by: by, address })}\n`,
    headers: { kind: auditKind, ...formatHeader(auditFormat) },
  };
}
