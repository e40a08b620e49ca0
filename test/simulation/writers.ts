/**
 * Ingest processes as far as the log shows them: several, each with the real chain of acknowledgements, killed and
 * followed by others. A ledger beside the headers knows what became of every batch: from it comes what is true of a
 * record that tells of earlier ones.
 */
import { type AckChain, createAckChain } from '../../ingest/ack-chain.ts';
import { writerId } from '../support/ack-log.ts';
import type { SeededRandom } from './seeded-random.ts';

/** A batch on its way. One of the three is called once, or none for a process that dies. */
export interface Sending {
  readonly header: string;
  /** It is in the log, and the process knows. */
  kept(): void;
  /** The process has been told that it is in the log. */
  swallowed(): void;
  /** The process does not know. */
  failed(): void;
}

/** What a header tells of all earlier batches of its writer in the partition. */
export interface ToldAcks {
  readonly chain: object;
  readonly acknowledged: number;
  readonly missing: number;
}

export class Writers {
  readonly #random: SeededRandom;
  readonly #processes: Process[] = [];
  readonly #told = new Map<string, () => ToldAcks>();
  #started = 0;

  constructor(random: SeededRandom, now: number) {
    this.#random = random;
    for (let i = random.between(1, 3); i > 0; i--) this.#processes.push(this.#start(now));
  }

  /** By a process that has nothing under way there; undefined: by a producer that knows nothing of acknowledgements. */
  begin(partition: number, lines: number): Sending | undefined {
    const free = this.#processes.filter(({ underWay }) => !underWay.has(partition));
    return free.length === 0 ? undefined : this.#begin(this.#random.pick(free), partition, lines);
  }

  /** What the processes owe, as records without lines. */
  statements(): { readonly partition: number; readonly sending: Sending }[] {
    return this.#processes.flatMap(process =>
      process.chain
        .owed()
        .filter(partition => !process.underWay.has(partition))
        .map(partition => ({ partition, sending: this.#begin(process, partition, 0) })),
    );
  }

  /** One of them is killed; another takes its place. */
  restart(now: number): void {
    this.#processes[this.#random.between(0, this.#processes.length - 1)] = this.#start(now);
  }

  /** @throws where no process has written this header */
  told(partition: number, header: string): ToldAcks {
    return this.#told.get(`${partition} ${header}`)!();
  }

  #start(now: number): Process {
    return { chain: createAckChain(writerId(now, ++this.#started)), underWay: new Set(), sent: new Map() };
  }

  #begin({ chain, underWay, sent }: Process, partition: number, lines: number): Sending {
    const { batch, header } = chain.begin(partition, lines);
    const batches = sent.get(partition) ?? [];
    sent.set(partition, batches);
    const earlier = batches.slice();
    const entry = { lines, fate: 'in doubt' as Fate };
    batches.push(entry);
    underWay.add(partition);
    const end = (fate: Fate) => {
      entry.fate = fate;
      underWay.delete(partition);
      if (fate !== 'in doubt') chain.acknowledged(partition, batch);
    };
    this.#told.set(`${partition} ${header}`, () => {
      const linesOf = (...fates: Fate[]) =>
        earlier.filter(({ fate }) => fates.includes(fate)).reduce((sum, { lines }) => sum + lines, 0);
      return { chain: batches, acknowledged: linesOf('kept', 'swallowed'), missing: linesOf('swallowed') };
    });
    return {
      header,
      kept: () => end('kept'),
      swallowed: () => end('swallowed'),
      failed: () => end('in doubt'),
    };
  }
}

type Fate = 'kept' | 'swallowed' | 'in doubt';

interface Process {
  readonly chain: AckChain;
  readonly underWay: Set<number>;
  readonly sent: Map<number, { readonly lines: number; fate: Fate }[]>;
}
