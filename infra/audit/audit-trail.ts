/**
 * Records what is asked for, in topic `audit`. A process has one of these.
 *
 * What is about to happen is recorded first. If the record cannot be written, the caller must not go on: `act`, `read`
 * and `signIn` throw. A refusal is answered in any case, because nothing happens; what could not be written of it is
 * counted.
 */
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { AuditLog } from './audit-log.ts';
import { type Asked, type AuditEntry, auditEntry } from './audit-record.ts';
import { failed, written } from './metrics.ts';
import { ended, RepeatedReads } from './repeated-reads.ts';

/** Says with which status it was answered. It never throws: what has happened is not undone by a record. */
export type Ended = (status: number) => Promise<void>;

export interface AuditTrail extends AsyncDisposable {
  /** Each act has an entry of its own. @throws Retryable, and then nothing may be done */
  act(asked: Asked): Promise<Ended>;
  /** Repeated reads share an entry. @throws Retryable, and then nothing may be read */
  read(asked: Asked): Promise<Ended>;
  /** A valid key was not enough. Repeated refusals share an entry. */
  refused(asked: Asked, status: number): Promise<void>;
}

export interface AuditTrailOptions {
  readonly log: Logger;
  /** Epoch ms. */
  readonly now?: () => number;
}

export function openAuditTrail(auditLog: AuditLog, { log, now = Date.now }: AuditTrailOptions): AuditTrail {
  const repeatedReads = new RepeatedReads();
  const { before, after } = writingTo(auditLog, log);
  const closeDue = async (at: number) => {
    const due = repeatedReads.due(at).filter(({ step }) => step > 0);
    await Promise.all(due.map(after));
  };
  const repeatable = async (asked: Asked) => {
    const open = repeatedReads.take(asked, now(), before);
    try {
      await open.written;
    } catch (error) {
      repeatedReads.forget(open);
      throw error;
    }
    return open;
  };
  let closing = Promise.resolve();
  const timer = setInterval(() => {
    closing = closeDue(now());
  }, closeEveryMs).unref();
  return {
    async act(asked) {
      const entry = auditEntry(asked, now());
      await before(entry);
      return async status => await after({ ...entry, until: now(), status, step: 1 });
    },
    async read(asked) {
      const open = await repeatable(asked);
      return async status => ended(open, status);
    },
    async refused(asked, status) {
      const open = await repeatable(asked).catch(() => undefined);
      if (open) ended(open, status);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await closing;
      await closeDue(Number.POSITIVE_INFINITY);
      await auditLog[Symbol.asyncDispose]();
    },
  };
}

const closeEveryMs = 1_000;

/** Writes records before anything happens, or after: then it is too late to refuse. */
function writingTo(auditLog: AuditLog, log: Logger) {
  const before = async (entry: AuditEntry) => {
    try {
      await auditLog.append(entry);
      written.inc({ kind: entry.kind });
    } catch (error) {
      failed.inc({ when: 'before' });
      log.error({ why: messageOf(error), action: entry.action }, 'audit record not written: the request is refused');
      throw error;
    }
  };
  const after = async (entry: AuditEntry) => {
    try {
      await auditLog.append(entry);
    } catch (error) {
      failed.inc({ when: 'after' });
      const { id, action, status, requests } = entry;
      log.error({ why: messageOf(error), id, action, status, requests }, 'audit record not completed');
    }
  };
  return { before, after };
}

/** Records nothing. For servers that have no brokers, which only tests build. */
export const noTrail: AuditTrail = {
  act: async () => async () => undefined,
  read: async () => async () => undefined,
  refused: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};
