/**
 * A partition of `clicks` as several ingest processes fill it, with real chains, over brokers of any behaviour; and what
 * is true of it, counted apart from the headers.
 */
import { type AckChain, createAckChain } from '../../ingest/ack-chain.ts';

export interface AckRecord {
  readonly offset: number;
  /** Undefined: of a producer that knows nothing of acknowledgements. */
  readonly acks: string | undefined;
  readonly lines: number;
}

/** What becomes of a batch: whether it is in the log (late: only after what comes next), and what its writer learns. */
export const fates = ['kept', 'lost', 'kept in doubt', 'late in doubt', 'gone in doubt', 'kept twice'] as const;
export type Fate = (typeof fates)[number];

export class AckLog {
  readonly records: AckRecord[] = [];
  readonly #writers: Writer[] = [];
  #late: (() => void)[] = [];

  /** One more process. @returns its number */
  start(bornAt: number): number {
    const id = writerId(bornAt, this.#writers.length);
    return this.#writers.push({ chain: createAckChain(id), batches: [], latest: 0 }) - 1;
  }

  /** Appends a batch of records with so many lines each. */
  send(number: number, sizes: readonly number[], fate: Fate): void {
    const writer = this.#writers[number]!;
    const lines = sizes.reduce((a, b) => a + b, 0);
    const { batch, header } = writer.chain.begin(0, lines);
    const isThere = fate === 'kept' || fate === 'kept twice';
    const isAcknowledged = isThere || fate === 'lost';
    writer.batches.push({ lines, isAcknowledged, isThere });
    const write = () => {
      for (const size of sizes) this.#append(header, size);
      writer.latest = Math.max(writer.latest, batch);
    };
    const waiting = this.#late;
    this.#late = [];
    if (isThere || fate === 'kept in doubt') write();
    if (fate === 'kept twice') write();
    if (fate === 'late in doubt') this.#late.push(write);
    if (isAcknowledged) writer.chain.acknowledged(0, batch);
    // What was under way before arrives behind what came after.
    for (const arrive of waiting) arrive();
  }

  /** Where a writer owes a statement, it appends one. */
  state(): void {
    for (const [number, { chain }] of this.#writers.entries()) {
      if (chain.owed().includes(0)) this.send(number, [0], 'kept');
    }
  }

  appendForeign(lines: number): void {
    this.#append(undefined, lines);
  }

  /** Of acknowledged lines which some record in the log speaks of: all, and those that are not in the log. */
  get truth(): { readonly acknowledged: number; readonly missing: number } {
    const told = this.#writers
      .flatMap(({ batches, latest }) => batches.slice(0, Math.max(0, latest - 1)))
      .filter(({ isAcknowledged }) => isAcknowledged);
    const sum = (batches: typeof told) => batches.reduce((sum, { lines }) => sum + lines, 0);
    return { acknowledged: sum(told), missing: sum(told.filter(({ isThere }) => !isThere)) };
  }

  #append(acks: string | undefined, lines: number): void {
    this.records.push({ offset: this.records.length, acks, lines });
  }
}

/** A ULID. */
export function writerId(bornAt: number, serial: number): string {
  const digits = (value: number, length: number) =>
    Array.from({ length }, (_, i) => alphabet[Math.floor(value / 32 ** (length - 1 - i)) % 32]).join('');
  return `${digits(bornAt, 10)}${digits(serial, 16)}`;
}

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

interface Writer {
  readonly chain: AckChain;
  readonly batches: { readonly lines: number; readonly isAcknowledged: boolean; readonly isThere: boolean }[];
  /** The last batch of it in the log. */
  latest: number;
}
