/** Remembers the files of a spool that cannot be read, or cannot be removed although Kafka has their clicks. */
import { messageOf } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';

export class StuckFiles {
  /** Until the next `tryAgain`. */
  readonly names = new Set<string>();
  /** They are not sent again. How many of their parts could not be read. */
  readonly sent = new Map<string, number>();
  readonly #told = new Map<string, string>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  add(name: string, what: string, error: unknown): void {
    this.names.add(name);
    const why = messageOf(error);
    if (this.#told.get(name) === why) return;
    this.#told.set(name, why);
    this.#log.error({ name, why }, what);
  }

  tryAgain(): void {
    this.names.clear();
  }

  gone(name: string): void {
    this.sent.delete(name);
    this.#told.delete(name);
  }
}
