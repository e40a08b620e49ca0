/**
 * What goes wrong, and how often. Every call of a process passes here; its fate is drawn from the seed. Counts what has
 * hit, so that the suite can tell a quiet run from a passed one.
 */
import type { Operation } from './fake-kafka.ts';
import type { SeededRandom } from './seeded-random.ts';

/**
 * lost: never arrives. unanswered: done, but the answer is lost. late: the caller has given up when it arrives.
 * crash and pause: of the calling process, just before the call or just after the other side has done it.
 * refused, while all brokers are away: fails at once.
 */
export const fates = [
  'lost',
  'unanswered',
  'late',
  'crash before',
  'crash after',
  'pause before',
  'pause after',
] as const;
export type Fate = (typeof fates)[number] | 'refused';

/** Calls of which there are very many fail more rarely. */
const rareness: Partial<Record<Operation, number>> = { fetch: 10, heartbeat: 10, insert: 2 };

const likelihood: Record<(typeof fates)[number], number> = {
  lost: 0.01,
  unanswered: 0.012,
  late: 0.008,
  'crash before': 0.003,
  'crash after': 0.004,
  'pause before': 0.004,
  'pause after': 0.004,
};

export class Weather {
  isCalm = false;
  /** All brokers are away. */
  isOut = false;
  readonly hits = new Map<string, number>();
  readonly #random: SeededRandom;
  /** The fates that happen at all with this seed: what is rare in a mixture may be frequent alone. */
  readonly #enabled: ReadonlySet<Fate>;
  readonly #severity: number;
  /** One operation has it worse than others. */
  readonly #unlucky: Operation;
  readonly #scripted: { readonly operation: Operation; readonly fate: Fate }[] = [];

  constructor(random: SeededRandom) {
    this.#random = random;
    this.#enabled = new Set(fates.filter(() => random.chance(0.6)));
    this.#severity = random.pick([0, 0.3, 1, 1, 2]);
    this.#unlucky = random.pick(operations);
  }

  /** The next call of `operation` meets `fate`, whatever the weather. */
  script(operation: Operation, fate: Fate): void {
    this.#scripted.push({ operation, fate });
  }

  fateOf(operation: Operation): Fate | undefined {
    const fate = this.#drawn(operation);
    if (fate !== undefined) this.hit(`${operation}: ${fate}`);
    return fate;
  }

  hit(what: string): void {
    this.hits.set(what, (this.hits.get(what) ?? 0) + 1);
  }

  #drawn(operation: Operation): Fate | undefined {
    const at = this.#scripted.findIndex(next => next.operation === operation);
    if (at !== -1) return this.#scripted.splice(at, 1)[0]?.fate;
    if (this.isCalm) return undefined;
    if (this.isOut && operation !== 'insert') return 'refused';
    let roll = this.#random.next();
    const factor = (this.#severity * (operation === this.#unlucky ? 8 : 1)) / (rareness[operation] ?? 1);
    for (const fate of fates) {
      if (!this.#enabled.has(fate)) continue;
      roll -= likelihood[fate] * factor;
      if (roll < 0) return fate;
    }
    return undefined;
  }
}

export const operations: readonly Operation[] = [
  'initProducerId',
  'addPartition',
  'produce',
  'addOffsets',
  'commitOffsetsInTransaction',
  'commitTransaction',
  'abortTransaction',
  'leaders',
  'newProducer',
  'fetch',
  'fetchOffsets',
  'listOffsets',
  'commitOffset',
  'join',
  'heartbeat',
  'leave',
  'insert',
];
