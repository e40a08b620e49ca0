/**
 * Notices a reader that stands still although there is something to read.
 *
 * Consumers and requests of kafkajs have been seen to hang without an error after a broker or a group had moved
 * (kafkajs#659). The caller acts on it: the process ends, says why, and is started again.
 *
 * An ordinary failover must not be mistaken for that. The cluster needs 9 s to notice a dead broker, then leaders and
 * coordinators move and load, and the group may have to wait for the session of a member that died. Ending a process
 * that is about to continue costs more than it gains. The two cases are distinguished like this:
 * - The positions are compared with what the partitions' leaders say now. While one of the leaders does not answer,
 *   nobody can make progress, and nothing is counted.
 * - A reader that is overcoming a failover meets passing errors, or joins its group (reading-trouble.ts). A reader that
 *   hangs meets nothing: it stands still in silence. So 20 s are counted from the last trouble, and a reader that hangs
 *   ends its process after 20 to 30 s.
 * - A reader may also be stuck in trouble, because it sees a failover where there is none, or waits for something other
 *   than the log, as a task does for its fence. After 60 s in which all leaders have answered, trouble does not count
 *   any more. The questions themselves may hang: after 90 s without an answer the process ends too. Each request ends
 *   long before that (bounded-requests.ts).
 * - When everything has been read, the brokers are asked every fifteen seconds instead of every five. A reader that hangs
 *   then ends its process that much later.
 */
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { lastTroubleOf } from './reading-trouble.ts';

export interface WatchedReaders {
  /** The group whose trouble counts. */
  readonly group: string;
  /**
   * Returns the readings by name, or undefined when no progress can be expected. A rejection counts as undefined,
   * because the brokers are away.
   */
  readings(): Promise<ReadonlyMap<string, Reading> | undefined>;
  onStall(what: string): void;
  readonly log: Logger;
}

const checkEveryMs = 5_000;
/** Of these checks at rest. */
const restChecks = 3;
const limits: StallLimits = { silentMs: 20_000, troubledMs: 60_000 };
const longestAnswerMs = 90_000;

export function watchStalls({ group, readings, onStall, log }: WatchedReaders): Disposable {
  const watch = new StallWatch(limits);
  let askedAt: number | undefined;
  let turnAt = performance.now();
  /** Checks that are left out. */
  let resting = 0;
  const ask = async () => {
    // A process that was itself stopped, or did not run for long, has not seen the readers stand still.
    const hadNoTurn = performance.now() - turnAt > 2 * checkEveryMs;
    turnAt = performance.now();
    if (hadNoTurn) {
      watch.reset();
      if (askedAt !== undefined) askedAt = turnAt;
    }
    if (askedAt !== undefined) {
      const waitedMs = turnAt - askedAt;
      if (waitedMs >= longestAnswerMs) onStall(`no answer about the positions for ${Math.round(waitedMs / 1_000)} s`);
      return;
    }
    if (resting > 0) {
      resting--;
      return;
    }
    askedAt = turnAt;
    try {
      const now = await readings();
      if (now && [...now.values()].every(({ position, end }) => position >= end)) resting = restChecks - 1;
      if (now === undefined || performance.now() - turnAt > 2 * checkEveryMs) return watch.reset();
      const stalled = watch.check(now, performance.now(), lastTroubleOf(group));
      if (stalled !== undefined) onStall(stalled);
    } catch (error) {
      log.debug({ why: messageOf(error) }, 'progress unknown');
      watch.reset();
    } finally {
      askedAt = undefined;
    }
  };
  const timer = setInterval(() => void ask(), checkEveryMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

export interface Reading {
  /** The offset of the next record to finish. */
  readonly position: number;
  /** The offset behind the last record that can be read. */
  readonly end: number;
  /** The reader itself waits for something other than the log. */
  readonly isWaiting?: boolean;
}

export interface StallLimits {
  /** The limit for a reader that meets no trouble. */
  readonly silentMs: number;
  /** The limit for any reader. */
  readonly troubledMs: number;
}

export class StallWatch {
  readonly #limits: StallLimits;
  readonly #since = new Map<string, { position: number; sinceMs: number }>();

  constructor(limits: StallLimits) {
    this.#limits = limits;
  }

  /** Must be called every few seconds with all that is read, by name. Returns what stands still, or undefined. */
  check(readings: ReadonlyMap<string, Reading>, nowMs: number, lastTroubleMs: number): string | undefined {
    for (const name of this.#since.keys()) if (!readings.has(name)) this.#since.delete(name);
    let stalled: string | undefined;
    for (const [name, { position, end, isWaiting = false }] of readings) {
      const last = this.#since.get(name);
      if (position >= end) this.#since.delete(name);
      else if (last === undefined || last.position !== position) this.#since.set(name, { position, sinceMs: nowMs });
      else {
        const standsMs = nowMs - last.sinceMs;
        const silentMs = isWaiting ? 0 : nowMs - Math.max(last.sinceMs, lastTroubleMs);
        if (silentMs < this.#limits.silentMs && standsMs < this.#limits.troubledMs) continue;
        stalled ??= `${name} has not moved from ${position} for ${Math.round(standsMs / 1_000)} s, although the log reaches ${end}`;
      }
    }
    return stalled;
  }

  /** Must be called after a time in which progress could not be expected. */
  reset(): void {
    this.#since.clear();
  }
}
