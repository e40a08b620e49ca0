/** A job: what it is asked to do, how far it is, and how it ended. */

import { randomBytes } from 'node:crypto';
import { explained } from '../../../infra/broken-rule.ts';

export const jobKinds = ['replay', 'restate', 'reconcile'] as const;
export type JobKind = (typeof jobKinds)[number];
export const jobStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;
export type JobState = (typeof jobStates)[number];
/** The reasons of restatements and replays, and of reconciliations. */
export const jobReasons = ['late', 'split', 'replay', 'reconcile', 'hourly', 'asked', 'rules'] as const;

/** Times are epoch ms. */
export interface Job {
  readonly id: string;
  readonly kind: JobKind;
  /** A reconciliation is `hourly`, or `asked` for by a person. A replay that names rules has the reason `rules`. */
  readonly reason: (typeof jobReasons)[number];
  /** When false, the job only reports what differs. */
  readonly apply: boolean;
  readonly from: number;
  readonly to: number;
  /** The minutes of [from, to) to recount, in order. Empty for all minutes. */
  readonly minutes: readonly number[];
  readonly state: JobState;
  /** All minutes before this time are done. An interrupted job goes on from here. */
  readonly position: number;
  readonly minutesDone: number;
  readonly minutesTotal: number;
  readonly clicksRead: number;
  readonly cellsChanged: number;
  /**
   * JSON. What a reconciliation has found, the reconciliation that a repair belongs to, or the rules of a replay and what
   * they change.
   */
  readonly result: string;
  readonly error: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly seq: number;
}

export function newJob(
  asked: Pick<Job, 'kind' | 'reason' | 'apply' | 'from' | 'to'> & Partial<Pick<Job, 'minutes' | 'result'>>,
  now: number,
): Job {
  const { minutes = [], result = '' } = asked;
  return {
    ...asked,
    minutes,
    result,
    id: mintId(now),
    state: 'queued',
    position: asked.from,
    minutesDone: 0,
    minutesTotal: minutes.length || (asked.to - asked.from) / 60_000,
    clicksRead: 0,
    cellsChanged: 0,
    error: '',
    createdAt: now,
    updatedAt: now,
    seq: 1,
  };
}

export const jobIdPattern = explained(/^[0-9A-HJKMNP-TV-Z]{26}$/, 'the id of a job: 26 capital letters and digits');

/** Returns a ULID: 48 bits of time and 80 random bits, in Crockford's base 32. */
function mintId(now: number): string {
  return inBase32((BigInt(now) << 80n) | BigInt(`0x${randomBytes(10).toString('hex')}`));
}

/** Returns an id that is not greater than the id of any job that is made at `ms` or later. */
export function firstJobIdAt(ms: number): string {
  return inBase32(BigInt(Math.max(0, ms)) << 80n);
}

function inBase32(bits: bigint): string {
  let id = '';
  for (let i = 0, rest = bits; i < 26; i++, rest >>= 5n) id = alphabet[Number(rest & 31n)] + id;
  return id;
}

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
