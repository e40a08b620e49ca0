/**
 * Defines errors by what the caller must do next, not by where they came from. Adapters translate the errors of clients
 * into these. Any other error is a programming fault and ends the process.
 */

/** The other side is away or busy. The same work may be tried again after a pause. */
export class Retryable extends Error {
  override readonly name: string = 'Retryable';
}

/**
 * The work was not done because nobody waits for it any more (`gone`), because it took too long (`late`), or because
 * too many others want the same: all of them together (`full`), those of the same client (`share`), or so many that its
 * turn did not come in time (`waited`).
 */
export class Unserved extends Retryable {
  override readonly name = 'Unserved';
  readonly why: 'gone' | 'late' | 'full' | 'share' | 'waited';

  constructor(why: Unserved['why'], message: string) {
    super(message);
    this.why = why;
  }
}

/**
 * Another owner has taken over, or the outcome of a transaction is unknown. Drop the state of the task and start it
 * again.
 */
export class Fenced extends Error {
  override readonly name = 'Fenced';
}

/** Stored data contradicts what must be true. Stop and alert a person, who decides. Never guess. */
export class Corrupt extends Error {
  override readonly name: string = 'Corrupt';
}

/** What was read is newer than this release. Halt before it, and wait to be replaced by the release that wrote it. */
export class UnknownFormat extends Corrupt {
  override readonly name = 'UnknownFormat';
}

/** ClickHouse will never accept these rows. Find the bad ones, and do not send them again. */
export class RefusedRows extends Error {
  override readonly name = 'RefusedRows';
}

/**
 * What a user typed or configured cannot work. The message names the setting, its value and the rule. The exit code is
 * 78.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
