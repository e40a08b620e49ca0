/**
 * Runs the turns of a loop that reads from the store and then writes its conclusions into the log.
 *
 * A turn reads the same nodes from its beginning to its end, one of each shard. It does not begin before these nodes
 * have everything that jobs and people had written into the log by then.
 *
 * What one node shows says nothing about another one. So the first turn of a loop on a node begins with a wait, until
 * the node's sink has committed everything in these topics. After that the loop waits until it sees what it has written
 * itself (job-writer.ts, seal-store.ts). What it has seen on one node it has not seen on the next one.
 *
 * When a node goes away, the reads of a turn end, and so the turn ends. Two turns never run at the same time.
 */
import { Retryable } from '../../infra/errors.ts';
import type { CountedLog, NodePosition } from '../log/counted-log.ts';
import { jobTopics } from '../log/node-positions.ts';
import { type Patience, untilVisible } from '../log/until-visible.ts';
import type { Replicas } from './replicas.ts';

/**
 * Runs one turn of a loop, which has one turn at a time. @throws Retryable when no node may be read, or a node lacks
 * something for too long
 */
export type Turns = <T>(turn: () => Promise<T>) => Promise<T>;

/** For a single node, and for tests. */
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

/** A sink may need this long to come back. */
const sinkPatience: Patience = { withinMs: 20_000, pollMs: 250 };

async function untilAllIsOn(
  nodes: readonly string[],
  countedLog: TurnsDeps['countedLog'],
  patience: Patience,
): Promise<void> {
  const positionsOfJobs = async () => {
    const positions = (await countedLog.nodePositions?.()) ?? [];
    const own = positions.filter(at => nodes.includes(at.node) && isJobTopic(at));
    if (own.length < nodes.length * jobTopics.length)
      throw new Retryable(`${nodes.join(', ')}: it is not known how far their sinks are`);
    return own;
  };
  const ends = new Map((await positionsOfJobs()).map(({ topic, end }) => [topic, end]));
  await untilVisible(`what jobs and people wrote before, for ${nodes.join(', ')},`, patience, async () =>
    (await positionsOfJobs()).every(({ topic, position }) => position >= (ends.get(topic) ?? 0)),
  );
}

function isJobTopic({ topicName }: NodePosition): boolean {
  return jobTopics.some(name => name === topicName);
}
