/**
 * Follows the acknowledgements that the records of one partition tell (ingest/ack-chain.ts), and counts click lines that
 * were acknowledged but do not stand in the log. A function of the log: what it says after a record depends on nothing
 * but the records before, and its whole state lies in the checkpoint, so nothing is forgotten at a restart.
 *
 * When a writer begins a batch, all of its earlier ones are decided. So only the batch seen last of each writer is
 * remembered. The next one seen tells how many lines were acknowledged since, and whether that batch was among them:
 * what is left over was acknowledged and never came.
 *
 * Never more is called missing than is. Less may be, in these cases:
 * - a writer that ended without a further word: its last batch is not looked for;
 * - a writer that was there before the partition was followed, was silent for more than a day, or is one of more than 32:
 *   it is followed (again) from its first batch that is seen and acknowledged;
 * - a batch is lost, and so are the 31 after it: those lines may be hidden by as many of an earlier batch that is in
 *   the log without having been acknowledged.
 */
import { type Acks, knownOutcomes, mintedAt, readAcks, wasAcknowledged } from '../../ingest/ack-chain.ts';

export interface AckTotals {
  /** Click lines that later records say were acknowledged. */
  readonly acknowledged: number;
  /** Those of them that do not stand in the log. */
  readonly missing: number;
  /** Click lines of batches that stand in the log more than once; their clicks count once, as all copies do. */
  readonly repeated: number;
  /** Records whose header could not be read: their batches may have been called missing. */
  readonly unreadable: number;
}

export interface AckState extends AckTotals {
  /**
   * A writer born before this, by the broker's clock, may have appended batches that are not remembered. Undefined:
   * before the next record with a header, which tells the time.
   */
  readonly unknownUntil: number | undefined;
  readonly writers: readonly WriterState[];
}

/** What is remembered of a writer: the batch seen last. */
export interface WriterState {
  readonly writer: string;
  readonly batch: number;
  /** As its header says. */
  readonly lines: number;
  /** That came with it; undefined: its first records, or later batches, may have come before the writer was followed. */
  readonly received: number | undefined;
  readonly total: number;
  /** Which of the 32 batches before stand in the log, bit by bit, as in the header. */
  readonly seen: number;
  /** Append time of its last record. */
  readonly seenAt: number;
}

/** Nothing has come yet: the log begins here, and every writer will be seen from its first batch. */
export const noAcks: AckState = {
  acknowledged: 0,
  missing: 0,
  repeated: 0,
  unreadable: 0,
  unknownUntil: 0,
  writers: [],
};

/** What came before is not known. */
export const unknownAcks: AckState = { ...noAcks, unknownUntil: undefined };

/** As many as the checkpoint has room for (commit-metadata.ts). */
export const mostWriters = 32;
/** A writer that is silent for longer is forgotten. */
export const rememberedMs = 24 * 3_600_000;
/** Clocks that differ by more have their writers taken for older ones. */
const clockDifferenceMs = 10 * 60_000;

export class Acknowledgements {
  #acknowledged: number;
  #missing: number;
  #repeated: number;
  #unreadable: number;
  #unknownUntil: number | undefined;
  readonly #writers: Map<string, WriterState>;

  constructor(from: AckState) {
    this.#acknowledged = from.acknowledged;
    this.#missing = from.missing;
    this.#repeated = from.repeated;
    this.#unreadable = from.unreadable;
    this.#unknownUntil = from.unknownUntil;
    this.#writers = new Map(from.writers.map(state => [state.writer, state]));
  }

  get totals(): AckTotals {
    return {
      acknowledged: this.#acknowledged,
      missing: this.#missing,
      repeated: this.#repeated,
      unreadable: this.#unreadable,
    };
  }

  get state(): AckState {
    return { ...this.totals, unknownUntil: this.#unknownUntil, writers: [...this.#writers.values()] };
  }

  /** A record with `lines` click lines and a header. */
  process(header: string, lines: number, appendedAt: number): void {
    const acks = readAcks(header);
    if (acks === undefined) {
      this.#unreadable++;
      return;
    }
    this.#unknownUntil ??= appendedAt;
    const known = this.#writers.get(acks.writer);
    if (known === undefined) {
      this.#begin(acks, lines, { appendedAt, unknownUntil: this.#unknownUntil });
      return;
    }
    const seenAt = Math.max(known.seenAt, appendedAt);
    if (acks.batch === known.batch) this.#writers.set(acks.writer, { ...this.#withMore(known, lines), seenAt });
    else if (acks.batch < known.batch) {
      // In doubt, and late; or there already.
      if (wasSeen(known, acks.batch)) this.#repeated += lines;
      this.#writers.set(acks.writer, { ...known, seenAt });
    } else if (acks.total < known.total) this.#unreadable++;
    else {
      const received = this.#judge(known, acks) ? lines : undefined;
      this.#writers.set(acks.writer, { ...acksOf(acks), received, seen: seenBy(known, acks.batch), seenAt });
    }
  }

  /** A writer not heard of, or forgotten. */
  #begin(acks: Acks, lines: number, at: { readonly appendedAt: number; readonly unknownUntil: number }): void {
    const bornAt = mintedAt(acks.writer);
    const isNew =
      at.unknownUntil === 0 ||
      (bornAt > at.unknownUntil + clockDifferenceMs && bornAt <= at.appendedAt + clockDifferenceMs);
    if (isNew) {
      this.#acknowledged = sum(this.#acknowledged, acks.total);
      this.#missing = sum(this.#missing, acks.total);
    }
    this.#makeRoom(at.appendedAt);
    const received = isNew ? lines : undefined;
    this.#writers.set(acks.writer, { ...acksOf(acks), received, seen: 0, seenAt: at.appendedAt });
  }

  /** Another record of the batch seen last, or one of its records once more. */
  #withMore(known: WriterState, lines: number): WriterState {
    if (known.received === undefined) return known;
    const received = known.received + lines;
    const beyond = Math.max(0, received - known.lines);
    this.#repeated += beyond;
    return { ...known, received: received - beyond };
  }

  /** `acks` is of a later batch than the one seen last. False: nothing can be told of what came between. */
  #judge(known: WriterState, acks: Acks): boolean {
    const since = acks.total - known.total;
    const outcome = wasAcknowledged(acks, known.batch);
    // Only what was acknowledged came for sure before all later ones: those are not from before the beginning, then.
    if (known.received === undefined && outcome !== true) return false;
    // Where it is too long ago to be told it may have been acknowledged: nothing is called missing that is not.
    const wasKept = outcome ?? true;
    const there = wasKept ? Math.min(known.received ?? known.lines, known.lines) : 0;
    this.#acknowledged = sum(this.#acknowledged, since);
    this.#missing = sum(this.#missing, Math.max(0, since - there));
    return true;
  }

  #makeRoom(now: number): void {
    const oldestFirst = [...this.#writers.values()].sort((a, b) => a.seenAt - b.seenAt);
    const surplus = oldestFirst.length + 1 - mostWriters;
    for (const [i, { writer, seenAt }] of oldestFirst.entries()) {
      if (i >= surplus && now - seenAt <= rememberedMs) break;
      this.#writers.delete(writer);
      this.#unknownUntil = Math.max(this.#unknownUntil ?? 0, seenAt);
    }
  }
}

function acksOf({ writer, batch, lines, total }: Acks) {
  return { writer, batch, lines, total };
}

function wasSeen({ batch, seen }: WriterState, earlier: number): boolean {
  const bit = batch - 1 - earlier;
  return bit < knownOutcomes && ((seen >>> bit) & 1) === 1;
}

/** `seen`, once `batch` is the last. */
function seenBy({ batch: before, seen }: WriterState, batch: number): number {
  const steps = batch - before;
  if (steps > knownOutcomes) return 0;
  // A shift by 32 would be one by 0.
  const moved = steps === knownOutcomes ? 0 : seen << steps;
  return (moved | (1 << (steps - 1))) >>> 0;
}

/** What another producer has made up must not make a total that no reader takes. */
function sum(a: number, b: number): number {
  return Math.min(a + b, Number.MAX_SAFE_INTEGER);
}
