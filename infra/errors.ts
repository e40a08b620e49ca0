/**
 * Defines errors by what the caller must do next, not by where they came from. Adapters translate the errors of clients
 * into these. Any other error is a programming fault and ends the process.
 */

/** The other side is away or busy: the same work may be tried again after a pause. */
export class Retryable extends Error {
  override readonly name: string = 'Retryable';
}

/**
 * Not done, as nobody waits for it any more (`gone`), it took too long (`late`), or too many others want the same:
 * all of them together (`full`), those of the same client (`share`), or so many that its turn did not come (`waited`).
 */
export class Unserved extends Retryable {
  override readonly name = 'Unserved';
  readonly why: 'gone' | 'late' | 'full' | 'share' | 'waited';

  constructor(why: Unserved['why'], message: string) {
    super(message);
    this.why = why;
  }
}

/** Another owner has taken over, or the outcome of a transaction is unknown: drop the task's state and start it anew. */
export class Fenced extends Error {
  override readonly name = 'Fenced';
}

/** Stored data contradicts what must hold: stop and alarm, never guess. A person decides. */
export class Corrupt extends Error {
  override readonly name: string = 'Corrupt';
}

/** What was read is newer than this release: stand before it, and wait to be replaced by the release that wrote it. */
export class UnknownFormat extends Corrupt {
  override readonly name = 'UnknownFormat';
}

/** ClickHouse does not take these rows, and never will: find the one to blame, do not send them again. */
export class RefusedRows extends Error {
  override readonly name = 'RefusedRows';
}

/** What a user typed or configured cannot work. The message names the setting, its value and the rule. Exit code 78. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
