/** A job: what was asked for, how far it is, how it ended. */
import { randomBytes } from 'node:crypto';
import type { RestatementReason } from '../../aggregator/restatement.ts';

export const jobKinds = ['replay', 'restate', 'reconcile'] as const;
export type JobKind = (typeof jobKinds)[number];
export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

/** Times in epoch ms. */
export interface Job {
  readonly id: string;
  readonly kind: JobKind;
  /** Of a reconciliation: whether somebody asked for it, or the hour was over. */
  readonly reason: RestatementReason | 'hourly' | 'asked';
  /** False: only tell what differs. */
  readonly apply: boolean;
  readonly from: number;
  readonly to: number;
  /** Those of [from, to) to recount, in order; empty: all. */
  readonly minutes: readonly number[];
  readonly state: JobState;
  /** All minutes before are done: here a job goes on that was interrupted. */
  readonly position: number;
  readonly minutesDone: number;
  readonly minutesTotal: number;
  readonly clicksRead: number;
  readonly cellsChanged: number;
  /** JSON. */
  readonly result: string;
  readonly error: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly seq: number;
}

export function newJob(
  asked: Pick<Job, 'kind' | 'reason' | 'apply' | 'from' | 'to'> & { readonly minutes?: readonly number[] },
  now: number,
): Job {
  const minutes = asked.minutes ?? [];
  return {
    ...asked,
    minutes,
    id: mintId(now),
    state: 'queued',
    position: asked.from,
    minutesDone: 0,
    minutesTotal: minutes.length || (asked.to - asked.from) / 60_000,
    clicksRead: 0,
    cellsChanged: 0,
    result: '',
    error: '',
    createdAt: now,
    updatedAt: now,
    seq: 1,
  };
}

export const jobIdPattern = /^[0-9A-HJKMNP-TV-Z]{26}$/;

/** A ULID: 48 bits of time, 80 of chance, in Crockford's base 32. */
function mintId(now: number): string {
  let bits = (BigInt(now) << 80n) | BigInt(`0x${randomBytes(10).toString('hex')}`);
  let id = '';
  for (let i = 0; i < 26; i++, bits >>= 5n) id = alphabet[Number(bits & 31n)] + id;
  return id;
}

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
