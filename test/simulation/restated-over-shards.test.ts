/**
 * A reader of several shards, whose nodes get the same restatements each at its own pace: what is answered is of one of
 * the moments between two restatements, in all shards the same, whatever the order in which everything happens.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { Retryable } from '../../infra/errors.ts';
import { createStatedReading, type Stated } from '../../query-api/store/sql/stated-rows.ts';

const restatements = 4;

/** What a sink does for a restatement, in this order: makes it visible, inserts its counts, says that it is settled. */
type Step = readonly ['visible' | 'counted' | 'settled', restatement: number];

/** Of several that come in one batch, the rows of a table go in together. */
function stepsOf(batches: readonly number[]): Step[] {
  const steps: Step[] = [];
  let next = 1;
  for (const size of batches) {
    const batch = Array.from({ length: Math.min(size, restatements - next + 1) }, (_, i) => next + i);
    next += batch.length;
    for (const what of ['visible', 'counted', 'settled'] as const) for (const of of batch) steps.push([what, of]);
  }
  return steps;
}

class Node {
  readonly #steps: readonly Step[];
  #done = 0;

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  goOn(): void {
    this.#done = Math.min(this.#done + 1, this.#steps.length);
  }

  /** The last one of which it has done this; they come in order. */
  last(what: Step[0]): number {
    return Math.max(0, ...this.#steps.slice(0, this.#done).flatMap(([done, of]) => (done === what ? [of] : [])));
  }
}

interface Plan {
  /** Sizes of batches, by node. */
  readonly batches: readonly (readonly number[])[];
  /** Whose turn it is between any two things that the reader does. */
  readonly order: readonly number[];
}

const plans = fc.integer({ min: 2, max: 3 }).chain(nodes =>
  fc.record<Plan>({
    batches: fc.array(fc.array(fc.integer({ min: 1, max: 3 }), { minLength: restatements, maxLength: restatements }), {
      minLength: nodes,
      maxLength: nodes,
    }),
    order: fc.array(fc.integer({ min: 0, max: nodes - 1 }), { maxLength: 120 }),
  }),
);

/** What is told of each shard's counts, and of the history, which the first node tells; undefined: later. */
async function answer({ batches, order }: Plan): Promise<readonly number[] | undefined> {
  const nodes = batches.map(sizes => new Node(stepsOf(sizes)));
  const turns = [...order];
  const meanwhile = async () => {
    const turn = turns.shift();
    if (turn !== undefined) nodes[turn]?.goOn();
    else for (const node of nodes) node.goOn();
  };
  const clickhouses = nodes.map(node => {
    const query = async () => {
      await meanwhile();
      const visible = node.last('visible');
      return [{ visible, unsettled: visible - node.last('settled'), which: `${visible}` }];
    };
    return { clickhouse: { query } as unknown as ClickHouse };
  });
  const [first] = nodes as [Node, ...Node[]];
  const read = async ({ isSettled }: Stated) => {
    const told: number[] = [];
    for (const node of nodes) {
      await meanwhile();
      const counted = node.last('counted');
      await meanwhile();
      told.push(isSettled ? counted : Math.max(counted, first.last('visible')));
    }
    await meanwhile();
    return [...told, first.last('visible')];
  };
  const only = clickhouses[0]?.clickhouse as ClickHouse;
  const stated = createStatedReading(only, { timeoutMs: 1_000, nodes: () => clickhouses, pauseMs: 0 });
  try {
    return await stated.at({ from: 0, to: 60_000 }, read);
  } catch (error) {
    if (error instanceof Retryable) return undefined;
    throw error;
  }
}

describe('counts of several shards', () => {
  it('are of one moment, and what is told of their history is of the same', async () => {
    let answers = 0;
    await fc.assert(
      fc.asyncProperty(plans, async plan => {
        const told = await answer(plan);
        if (told === undefined) return;
        answers++;
        expect(new Set(told).size).toBe(1);
      }),
      { numRuns: 400, seed: 31 },
    );
    expect(answers).toBeGreaterThan(300);
  });

  it('are told as soon as the last node has what the others have', async () => {
    const late = { batches: [[4], [1, 1, 1, 1]], order: Array.from({ length: 12 }, () => 0) };
    expect(await answer(late)).toEqual([4, 4, 4]);
  });
});
