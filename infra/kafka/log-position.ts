/**
 * How far one reader has read a log of one partition, compared with where the log ends. It is pure and has no clock.
 *
 * "Caught up" means that everything was read that was in the log when its end was first known. That is decided by
 * offsets alone, and is never taken back: what is appended later is news, and not something that the reader has missed.
 *
 * A reader that fetches nothing while the log goes on behind its position is silent. It is recognised by several looks
 * at the end in which it did not move, and not by a time: a process that was stopped for an hour takes one look when it
 * goes on, and a look that the brokers did not answer does not count.
 */
import { Corrupt } from '../errors.ts';

export class LogPosition {
  readonly #topic: string;
  #next = 0;
  #endAtFirst: number | undefined;
  #looks = 0;
  #nextAtLook = -1;

  constructor(topic: string) {
    this.#topic = topic;
  }

  /** The offset of the next record. All before it were read. */
  get next(): number {
    return this.#next;
  }

  get isEndKnown(): boolean {
    return this.#endAtFirst !== undefined;
  }

  get isCaughtUp(): boolean {
    return this.#endAtFirst !== undefined && this.#next >= this.#endAtFirst;
  }

  /** @throws Corrupt when a fetch leaves out records: what stood there is unknown */
  checkFetch(fetchedOffset: number): void {
    if (fetchedOffset > this.#next)
      throw new Corrupt(
        `topic ${this.#topic} was read up to offset ${this.#next} and continues at ${fetchedOffset}: what stood between is unknown`,
      );
  }

  /** Nothing before this offset is there any more, and it need not be known. */
  beginAt(offset: number): void {
    this.#next = Math.max(this.#next, offset);
  }

  /** A reader that begins again at the beginning does not lose what was read before. */
  advance(nextOffset: number): void {
    this.#next = Math.max(this.#next, nextOffset);
  }

  /** Takes the end of the log, as the brokers give it. */
  take(end: number): void {
    this.#endAtFirst ??= end;
  }

  /** Must be called at regular looks at the end. Returns whether the reader is silent, and then begins anew to count. */
  isSilentAt(end: number): boolean {
    const moves = this.#next >= end || this.#next !== this.#nextAtLook;
    this.#nextAtLook = this.#next;
    this.#looks = moves ? 0 : this.#looks + 1;
    if (this.#looks < looksUntilSilent) return false;
    this.#looks = 0;
    return true;
  }
}

const looksUntilSilent = 3;
