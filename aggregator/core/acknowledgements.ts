/**
 * Follows the acknowledgements in the records of one partition (ingest/ack-chain.ts), and counts click lines that were
 * acknowledged but are missing from the log.
 *
 * It is a function of the log: its result after a record depends only on the records before. Its whole state is in the
 * checkpoint, so a restart loses nothing.
 *
 * When a writer begins a batch, the outcomes of all its earlier batches are known. So only the last seen batch of each
 * writer is remembered. The next one seen says how many lines were acknowledged since then, and whether that batch was
 * among them. Lines that were acknowledged and never came are missing.
 *
 * It never reports more missing lines than there are. It may report fewer in these cases:
 * - A writer ends without another batch. Then its last batch is not checked.
 * - A writer existed before the partition was followed, or was silent for more than a day, or is one of more than 32.
 *   It is then followed (again) from its first batch that is seen and acknowledged.
 * - A batch and the 31 batches after it are all lost. Their lines may be hidden by the same number of lines from an
 *   earlier batch that is in the log without an acknowledgement.
 */
import { type Acks, knownOutcomes, mintedAt, readAcks, wasAcknowledged } from '../../ingest/ack-chain.ts';

export interface AckTotals {
  /** Click lines that were acknowledged, as later records say. */
  readonly acknowledged: number;
  /** Acknowledged lines that are not in the log. */
  readonly missing: number;
  /** Click lines of batches that are in the log more than once. Their clicks count once, like all copies. */
  readonly repeated: number;
  /** Records whose header could not be read. Their batches may have been reported as missing. */
  readonly unreadable: number;
}

export interface AckState extends AckTotals {
  /**
   * A writer that began before this time, by the broker's clock, may have appended batches that are not remembered. It
   * is undefined until the next record with a header sets the time.
   */
  readonly unknownUntil: number | undefined;
  readonly writers: readonly WriterState[];
}

/** The state of one writer, which is its last seen batch. */
export interface WriterState {
  readonly writer: string;
  readonly batch: number;
  /** The number of lines, as the batch's header says. */
  readonly lines: number;
  /**
   * The number of lines that came with the batch. It is undefined when the batch's first records, or later batches, may
   * have come before the writer was followed.
   */
  readonly received: number | undefined;
  readonly total: number;
  /** Which of the 32 earlier batches are in the log, one bit for each, as in the header. */
  readonly seen: number;
  /** Append time of its last record. */
  readonly seenAt: number;
}

/** The state at the beginning of the log. Every writer will be seen from its first batch. */
export const noAcks: AckState = {
  acknowledged: 0,
  missing: 0,
  repeated: 0,
  unreadable: 0,
  unknownUntil: 0,
  writers: [],
};

/** The state when the records before are not known. */
export const unknownAcks: AckState = { ...noAcks, unknownUntil: undefined };

/** The checkpoint has room for this many (commit-metadata.ts). */
export const mostWriters = 32;
/** A writer that is silent for longer is forgotten. */
export const rememberedMs = 24 * 3_600_000;
/** If a writer's clock differs from the broker's by more than this, the writer is treated as an older one. */
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

  /** Processes a record that has `lines` click lines and a header. */
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
      // The batch was in doubt and came late, or it is in the log already.
      if (wasSeen(known, acks.batch)) this.#repeated += lines;
      this.#writers.set(acks.writer, { ...known, seenAt });
    } else if (acks.total < known.total) this.#unreadable++;
    else {
      const received = this.#judge(known, acks) ? lines : undefined;
      this.#writers.set(acks.writer, { ...acksOf(acks), received, seen: seenBy(known, acks.batch), seenAt });
    }
  }

  /** Starts to follow a writer that is new or was forgotten. */
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

  /** Processes another record of the last seen batch, or a repeated one. */
  #withMore(known: WriterState, lines: number): WriterState {
    if (known.received === undefined) return known;
    const received = known.received + lines;
    const beyond = Math.max(0, received - known.lines);
    this.#repeated += beyond;
    return { ...known, received: received - beyond };
  }

  /**
   * `acks` belongs to a later batch than the last seen one. Returns false when nothing can be said about the batches in
   * between.
   */
  #judge(known: WriterState, acks: Acks): boolean {
    const since = acks.total - known.total;
    const outcome = wasAcknowledged(acks, known.batch);
    // Only an acknowledged batch certainly came before all later ones. So those did not come before the writer was
    // followed.
    if (known.received === undefined && outcome !== true) return false;
    // A batch that is too old to be listed may have been acknowledged. It is assumed to be, so that no line is wrongly
    // reported as missing.
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

/** Returns the new value of `seen` when `batch` becomes the last seen batch. */
function seenBy({ batch: before, seen }: WriterState, batch: number): number {
  const steps = batch - before;
  if (steps > knownOutcomes) return 0;
  // In JavaScript a shift by 32 would be a shift by 0.
  const moved = steps === knownOutcomes ? 0 : seen << steps;
  return (moved | (1 << (steps - 1))) >>> 0;
}

/** Another producer may send invented numbers. They must not make a total that readers cannot hold. */
function sum(a: number, b: number): number {
  return Math.min(a + b, Number.MAX_SAFE_INTEGER);
}
