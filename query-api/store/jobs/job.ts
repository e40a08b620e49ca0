/** A job: what was asked for, how far it is, how it ended. */

import { randomBytes } from 'node:crypto';
import type { RestatementReason } from '../../../aggregator/restatement.ts';
import { explained } from '../../../infra/broken-rule.ts';

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
  /** JSON: what a reconciliation has found, or which one a repair is made for. */
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

/** A ULID: 48 bits of time, 80 of chance, in Crockford's base 32. */
function mintId(now: number): string {
  return inBase32((BigInt(now) << 80n) | BigInt(`0x${randomBytes(10).toString('hex')}`));
}

/** No job that was made at `ms` or later has a smaller id. */
export function firstJobIdAt(ms: number): string {
  return inBase32(BigInt(Math.max(0, ms)) << 80n);
}

function inBase32(bits: bigint): string {
  let id = '';
  for (let i = 0, rest = bits; i < 26; i++, rest >>= 5n) id = alphabet[Number(rest & 31n)] + id;
  return id;
}

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
