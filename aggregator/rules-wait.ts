/**
 * Holds a task back from clicks of minutes whose rules of invalid traffic it does not know (ingest/validity/rule-set.ts).
 *
 * No click may be counted before it is known which rules its minute has. They are known further ahead than clicks may
 * be dated, so nearly every record is passed by comparing two numbers, and its lines are not read for it.
 */
import { isFuture, limits } from '../ingest/click.ts';
import { RecordReader } from '../ingest/record-reader.ts';
import { windowStartOf } from './core/time.ts';

interface ClickRecord {
  readonly offset: number;
  /** Epoch ms. */
  readonly timestamp: number;
  /** Its lines are `bytes[valueStart, valueEnd)`, or all of `value` where there are no `bytes`. */
  readonly value: Uint8Array | null;
  readonly bytes?: Uint8Array | null;
  readonly valueStart?: number;
  readonly valueEnd?: number;
}

export class RulesWait {
  readonly #knownUntil: () => number;
  readonly #onChange: (waits: boolean) => void;
  #minute: number | undefined;

  /** The rules of all minutes that begin before `knownUntil()` (epoch ms) are known. */
  constructor(knownUntil: () => number, onChange: (waits: boolean) => void) {
    this.#knownUntil = knownUntil;
    this.#onChange = onChange;
  }

  /** The minute (epoch ms) whose rules are waited for. */
  get minute(): number | undefined {
    return this.#minute;
  }

  /** Returns whether the record must wait. From then on there is a wait, until it is over. */
  beginsAt(record: ClickRecord): boolean {
    const minute = unknownMinute(record, this.#knownUntil());
    if (minute !== undefined) this.#set(minute);
    return minute !== undefined;
  }

  /** Ends the wait if the rules are known by now, and calls `resume`. */
  whenOver(resume: () => void): void {
    if (this.#minute === undefined || this.#minute >= this.#knownUntil()) return;
    this.end();
    try {
      resume();
    } catch {} // The consumer is joining its group again. After that, everything is resumed.
  }

  end(): void {
    if (this.#minute !== undefined) this.#set(undefined);
  }

  #set(minute: number | undefined): void {
    this.#minute = minute;
    this.#onChange(minute !== undefined);
  }
}

/** Returns the latest minute of which the record has a click that would be counted and whose rules are not known. */
function unknownMinute(record: ClickRecord, knownUntil: number): number | undefined {
  const { offset, timestamp, value, bytes = value, valueStart, valueEnd } = record;
  if (windowStartOf(timestamp + limits.maxAheadMs) < knownUntil) return undefined;
  let latest = Number.NEGATIVE_INFINITY;
  const reader = new RecordReader(0);
  reader.open(offset, timestamp, bytes, valueStart, valueEnd);
  while (reader.next()) {
    if (reader.ok && !isFuture(reader.clickedAt, timestamp)) latest = Math.max(latest, windowStartOf(reader.clickedAt));
  }
  return latest >= knownUntil ? latest : undefined;
}
