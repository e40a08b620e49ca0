/**
 * Notices a reader that stands still though there is something to read: kafkajs consumers and requests have been seen to
 * hang without an error after a broker or a group had moved (kafkajs#659). Whoever asks acts: the process ends, says why,
 * and is started again.
 */
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';

export interface WatchedReaders {
  /** Readings by name; undefined when no progress can be expected. A rejection counts as that: the brokers are away. */
  readings(): Promise<ReadonlyMap<string, Reading> | undefined>;
  onStall(what: string): void;
  readonly log: Logger;
}

const checkEveryMs = 5_000;
const stallMs = 20_000;

export function watchStalls({ readings, onStall, log }: WatchedReaders): Disposable {
  const watch = new StallWatch(stallMs);
  let asking = false;
  let turnAt = performance.now();
  const ask = async () => {
    // Who was stopped himself, or had no turn for long, has not seen the readers stand still.
    if (performance.now() - turnAt > 2 * checkEveryMs) watch.reset();
    turnAt = performance.now();
    if (asking) return;
    asking = true;
    try {
      const now = await readings();
      if (now === undefined || performance.now() - turnAt > 2 * checkEveryMs) return watch.reset();
      const stalled = watch.check(now, performance.now());
      if (stalled !== undefined) onStall(stalled);
    } catch (error) {
      log.debug({ why: messageOf(error) }, 'progress unknown');
      watch.reset();
    } finally {
      asking = false;
    }
  };
  const timer = setInterval(() => void ask(), checkEveryMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

export interface Reading {
  /** Offset of the next record to be done with. */
  readonly position: number;
  /** Offset behind the last record that can be read. */
  readonly end: number;
}

export class StallWatch {
  readonly #stallMs: number;
  readonly #since = new Map<string, { position: number; sinceMs: number }>();

  constructor(stallMs: number) {
    this.#stallMs = stallMs;
  }

  /** To be called every few seconds with all that is read, by name. Returns what stands still, or undefined. */
  check(readings: ReadonlyMap<string, Reading>, nowMs: number): string | undefined {
    for (const name of this.#since.keys()) if (!readings.has(name)) this.#since.delete(name);
    let stalled: string | undefined;
    for (const [name, { position, end }] of readings) {
      const last = this.#since.get(name);
      if (position >= end) this.#since.delete(name);
      else if (last === undefined || last.position !== position) this.#since.set(name, { position, sinceMs: nowMs });
      else if (nowMs - last.sinceMs >= this.#stallMs) {
        stalled ??= `${name} stands at ${position} for ${Math.round((nowMs - last.sinceMs) / 1_000)} s, though the log reaches ${end}`;
      }
    }
    return stalled;
  }

  /** After a time when progress could not be expected. */
  reset(): void {
    this.#since.clear();
  }
}
