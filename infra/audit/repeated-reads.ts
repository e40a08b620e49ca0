/**
 * Puts requests that repeat one another under one entry of the audit log, so that nobody can flood it. It is pure and
 * has no clock.
 *
 * The first request of its kind opens an entry, which is written before the request is answered. Within `windowMs`, the
 * same asker's further requests for the same (action and parameters, from the same address) only add to it. So each of
 * them has a record that was written before, and what is lost if the process dies is only how many they were.
 *
 * One asker has at most `mostOfAsker` entries open. What else it asks for within the time goes under one entry for each
 * action, without parameters and address. In total there are at most `mostOpen`: the oldest are closed early.
 */
import { type Asked, type AuditEntry, auditEntry } from './audit-record.ts';

export interface OpenEntry {
  entry: AuditEntry;
  /** Settles when the entry is written. */
  written: Promise<void>;
  /** It stands for what one asker asked for beyond its number of entries. */
  readonly isCollected: boolean;
}

export const windowMs = 60_000;
const mostOfAsker = 16;
const mostOpen = 4_096;

export class RepeatedReads {
  /** In the order in which they were opened. */
  readonly #open = new Map<string, OpenEntry>();
  readonly #ofAsker = new Map<string, number>();

  /** Adds a request to its entry. `write` is called for an entry that is new. */
  take(asked: Asked, now: number, write: (entry: AuditEntry) => Promise<void>): OpenEntry {
    const name = nameOf(asked);
    const found = this.#open.get(name);
    if (found) return repeated(found, now);
    if ((this.#ofAsker.get(asked.by) ?? 0) < mostOfAsker) {
      this.#ofAsker.set(asked.by, (this.#ofAsker.get(asked.by) ?? 0) + 1);
      return this.#begin({ name, asked, isCollected: false }, now, write);
    }
    const various = { ...asked, parameters: {}, address: '' };
    const collected = this.#open.get(nameOf(various));
    if (collected) return repeated(collected, now);
    return this.#begin({ name: nameOf(various), asked: various, isCollected: true }, now, write);
  }

  /** Gives up an entry that could not be written, so that the next request opens another one. */
  forget(open: OpenEntry): void {
    this.#close(nameOf(open.entry), open);
  }

  /** Returns the entries whose time is over, and those for which there is no room any more. They are closed. */
  due(now: number): AuditEntry[] {
    const due: AuditEntry[] = [];
    for (const [name, open] of this.#open) {
      if (now - open.entry.at < windowMs && this.#open.size <= mostOpen) break;
      this.#close(name, open);
      due.push(open.entry);
    }
    return due;
  }

  get size(): number {
    return this.#open.size;
  }

  #begin(
    { name, asked, isCollected }: { name: string; asked: Asked; isCollected: boolean },
    now: number,
    write: (entry: AuditEntry) => Promise<void>,
  ): OpenEntry {
    const entry = auditEntry(asked, now);
    const open: OpenEntry = { entry, written: write(entry), isCollected };
    this.#open.set(name, open);
    return open;
  }

  #close(name: string, open: OpenEntry): void {
    if (this.#open.get(name) !== open) return;
    this.#open.delete(name);
    const { by } = open.entry;
    // They are not counted.
    if (open.isCollected) return;
    const left = (this.#ofAsker.get(by) ?? 1) - 1;
    if (left > 0) this.#ofAsker.set(by, left);
    else this.#ofAsker.delete(by);
  }
}

/** Says how a request of the entry has ended. */
export function ended(open: OpenEntry, status: number): void {
  const { entry } = open;
  open.entry = { ...entry, status: Math.max(entry.status, status), step: entry.step + 1 };
}

function repeated(open: OpenEntry, now: number): OpenEntry {
  const { entry } = open;
  open.entry = { ...entry, requests: entry.requests + 1, until: Math.max(entry.until, now), step: entry.step + 1 };
  return open;
}

function nameOf({ kind, by, subject, action, parameters, address }: Asked): string {
  return JSON.stringify([kind, by, subject, action, parameters, address]);
}
