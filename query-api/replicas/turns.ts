/**
 * The turns of a loop that reads, and then writes into the log what follows from it. A turn reads one node of each shard from its
 * beginning to its end, and none begins on nodes of which one lacks anything of what jobs and people had said when it began.
 *
 * That another node has shown it says nothing of this one. So the first turn of a loop on a node, after another or
 * after none, begins with a wait: until the node's sink has committed all that these topics hold. From then on the loop
 * knows what it has written itself (job-writer.ts, seal-store.ts), and waits to see that; what it has seen on one
 * node it never takes for seen on the next.
 *
 * A node that goes ends the reads of a turn, and so the turn: never does one go on beside the next.
 */
import { Retryable } from '../../infra/errors.ts';
import type { CountedLog, NodePosition } from '../log/counted-log.ts';
import { saidTopics } from '../log/node-positions.ts';
import { type Patience, untilVisible } from '../log/until-visible.ts';
import type { Replicas } from './replicas.ts';

/** Of one loop, which has one turn at a time. @throws Retryable where no node may be read, or lacks something for too long */
export type Turns = <T>(turn: () => Promise<T>) => Promise<T>;

/** Where there is one node, or a test has one in its hands. */
export const plainTurns: Turns = turn => turn();

export interface TurnsDeps {
  readonly replicas: Pick<Replicas, 'areSeveral' | 'reading'> & { nodes(): readonly { readonly name: string }[] };
  readonly countedLog: Pick<CountedLog, 'nodePositions'>;
  readonly patience?: Patience;
}

export function turnsOn({ replicas, countedLog, patience = sinkPatience }: TurnsDeps): Turns {
  if (!replicas.areSeveral) return plainTurns;
  let seenOn: string | undefined;
  return turn =>
    replicas.reading(async () => {
      const nodes = replicas.nodes().map(({ name }) => name);
      if (nodes.join() !== seenOn) {
        seenOn = undefined;
        await untilAllIsOn(nodes, countedLog, patience);
        seenOn = nodes.join();
      }
      return await turn();
    });
}

/** As long as a sink may need to come back. */
const sinkPatience: Patience = { withinMs: 20_000, pollMs: 250 };

async function untilAllIsOn(
  nodes: readonly string[],
  countedLog: TurnsDeps['countedLog'],
  patience: Patience,
): Promise<void> {
  const said = async () => {
    const positions = (await countedLog.nodePositions?.()) ?? [];
    const own = positions.filter(at => nodes.includes(at.node) && isSaid(at));
    if (own.length < nodes.length * saidTopics.length)
      throw new Retryable(`${nodes.join(', ')}: not known how far their sinks are`);
    return own;
  };
  const ends = new Map((await said()).map(({ topic, end }) => [topic, end]));
  await untilVisible(`what was said before, on ${nodes.join(', ')},`, patience, async () =>
    (await said()).every(({ topic, position }) => position >= (ends.get(topic) ?? 0)),
  );
}

function isSaid({ topicName }: NodePosition): boolean {
  return saidTopics.some(said => said === topicName);
}
