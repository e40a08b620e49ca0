/**
 * Asks Kafka where the log ends, how far the sinks are, and which ads are split. It connects at the first question,
 * because the query API starts and answers without Kafka too.
 */

import { Retryable } from '../../infra/errors.ts';
import { type Admin, openAdmin } from '../../infra/kafka/admin.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import type { Names } from '../../infra/topics.ts';
import type { PartitionRecord } from '../../ingest/hot-ads/partition-record.ts';
import type { HighWatermarks, RawLog } from './counted-log.ts';
import { type Routing, routingOf } from './hot-ad-rules.ts';
import { committedTopics, type FollowedNode, nodePositions } from './node-positions.ts';

export interface CountedLogDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly partitions: Pick<PartitionRecord, 'book' | 'readToEnd'>;
  readonly nodes: readonly FollowedNode[];
  /** Returns the nodes that are read at the moment, one of each shard. */
  readonly read: () => readonly FollowedNode[];
}

export interface AskedLog extends RawLog, AsyncDisposable {
  /** @throws Retryable */
  routing(): Promise<Routing>;
  nodePositions(): ReturnType<typeof nodePositions>;
  highWatermarks(): Promise<HighWatermarks>;
}

export function countedLogOf({ kafka, names, partitions, nodes, read }: CountedLogDeps): AskedLog {
  const topic = names.topic('clicks');
  let admin: Promise<Admin> | undefined;
  const forget = () => {
    admin = undefined;
  };
  const connected = () => {
    admin ??= openAdmin(kafka);
    admin.catch(forget);
    return admin;
  };
  const positionsOf = async (asked: readonly FollowedNode[]) => nodePositions(await connected(), names, asked);
  return {
    routing: () => routingOf(partitions),
    async endOffsets() {
      return await (await connected()).endOffsets(topic, 'read_uncommitted');
    },
    async rawPositions() {
      const asked = read();
      // A node that was emptied may lack what was once committed for it. A recount would then miss clicks.
      for (const { name, incarnation } of asked)
        if ((await incarnation()) === undefined) throw new Retryable(`${name}: it is not known what it holds`);
      // Each node has its own partitions.
      const raw = (await positionsOf(asked)).filter(({ topicName }) => topicName === 'clicks');
      return new Map(raw.map(({ partition, position }) => [partition, position]));
    },
    sinkPositions: async () => await positionsOf(read()),
    nodePositions: () => positionsOf(nodes),
    async highWatermarks() {
      const open = await connected();
      const ends = committedTopics.map(async topic => {
        const name = names.topic(topic);
        return [name, await open.endOffsets(name, 'read_uncommitted')] as const;
      });
      return new Map(await Promise.all(ends));
    },
    async [Symbol.asyncDispose]() {
      await admin?.then(
        open => open[Symbol.asyncDispose](),
        () => undefined,
      );
    },
  };
}
