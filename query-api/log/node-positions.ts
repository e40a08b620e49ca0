/** Reads from Kafka how far the sinks of the ClickHouse nodes are. */
import { heldBy } from '../../aggregator/sink/held-offsets.ts';
import type { SinkNode } from '../../aggregator/sink/node.ts';
import type { Admin } from '../../infra/kafka/admin.ts';
import type { Names, TopicName } from '../../infra/topics.ts';
import type { NodePosition } from './counted-log.ts';

export interface FollowedNode extends Pick<SinkNode, 'name' | 'inGroups' | 'holds'> {
  /** Returns the incarnation of its tables, or undefined when it is not known, for instance while the node is away. */
  incarnation(): Promise<string | undefined>;
}

/** The topics that jobs and people write. Each has one partition, and every node has all of it. */
export const jobTopics = ['job-results', 'job-requests', 'seals', 'filters', 'write-offs', 'audit'] as const;

/** The topics of which sinks read only what is committed. */
export const committedTopics = ['aggregates', 'quarantine', ...jobTopics] as const satisfies readonly TopicName[];

interface Leg {
  readonly group: string;
  readonly topicName: TopicName;
  readonly isWhole?: boolean;
}

/**
 * The last committed positions are used for a node whose incarnation is not known.
 * @throws Retryable
 */
export async function nodePositions(
  admin: Pick<Admin, 'ranges' | 'commits'>,
  names: Names,
  nodes: readonly FollowedNode[],
): Promise<NodePosition[]> {
  const legs: readonly Leg[] = [
    { group: names.rawSinkGroup, topicName: 'clicks' },
    { group: names.aggregateSinkGroup, topicName: 'aggregates' },
    { group: names.aggregateSinkGroup, topicName: 'quarantine' },
    ...jobTopics.map(topicName => ({ group: names.resultSinkGroup, topicName, isWhole: true })),
  ];
  const found = await Promise.all(
    legs.map(async ({ group, topicName, isWhole }) => {
      const topic = names.topic(topicName);
      // The ends are read first. A commit that comes in between only makes the lag smaller.
      const isolation = topicName === 'clicks' ? 'read_uncommitted' : 'read_committed';
      const ranges = await admin.ranges(topic, isolation);
      return await Promise.all(
        nodes.map(async node => {
          const leg = { node: node.name, group: names.groupAt(group, node.inGroups), topic, topicName };
          const commits = await admin.commits(leg.group, topic);
          const incarnation = await node.incarnation();
          return [...ranges]
            .filter(([partition]) => isWhole || node.holds(partition))
            .map(([partition, { start, end }]): NodePosition => {
              const commit = commits.get(partition);
              const held =
                incarnation === undefined ? commit && { from: 0, to: commit.offset } : heldBy(commit, incarnation);
              return { ...leg, partition, from: held?.from ?? start, position: held?.to ?? start, end };
            });
        }),
      );
    }),
  );
  return found.flat(2);
}
