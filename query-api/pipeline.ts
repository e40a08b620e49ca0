/** Asks Kafka for the ends of the log, how far the sinks are, and which ads are split. The API starts and answers without Kafka, so the connection is made when first asked. */
import { type Admin, openAdmin } from '../infra/kafka/admin.ts';
import type { KafkaClient } from '../infra/kafka/client.ts';
import type { Names } from '../infra/topics.ts';
import type { PartitionRecord } from '../ingest/hot-ads/partition-record.ts';
import type { SinkPosition } from './counted-log.ts';
import { type Routing, routingOf } from './hot-ad-rules.ts';
import type { RawLog } from './jobs/raw-gate.ts';

export interface PipelineDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly partitions: Pick<PartitionRecord, 'book' | 'readToEnd'>;
}

export interface AskedPipeline extends RawLog, AsyncDisposable {
  /** @throws Retryable */
  routing(): Promise<Routing>;
}

export function pipelineOf({ kafka, names, partitions }: PipelineDeps): AskedPipeline {
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
  return {
    routing: () => routingOf(partitions),
    async endOffsets() {
      return await (await connected()).endOffsets(topic);
    },
    async rawPositions() {
      const open = await connected();
      const commits = await open.commits(names.rawSinkGroup, topic);
      return new Map([...commits].map(([partition, { offset }]) => [partition, offset]));
    },
    async sinkPositions() {
      const open = await connected();
      const legs = [
        { group: names.rawSinkGroup, topicName: 'clicks' },
        { group: names.aggregateSinkGroup, topicName: 'aggregates' },
        { group: names.aggregateSinkGroup, topicName: 'quarantine' },
        { group: names.resultSinkGroup, topicName: 'job-results' },
      ] as const;
      return (
        await Promise.all(legs.map(leg => positionsOf(open, { ...leg, topic: names.topic(leg.topicName) })))
      ).flat();
    },
    async [Symbol.asyncDispose]() {
      await admin?.then(
        open => open[Symbol.asyncDispose](),
        () => undefined,
      );
    },
  };
}

/** The ends first: whatever is committed meanwhile only makes the lag smaller. */
async function positionsOf(
  admin: Admin,
  leg: Pick<SinkPosition, 'group' | 'topic' | 'topicName'>,
): Promise<SinkPosition[]> {
  const ranges = await admin.ranges(leg.topic);
  const commits = await admin.commits(leg.group, leg.topic);
  return [...ranges].map(([partition, { start, end }]) => ({
    ...leg,
    partition,
    position: commits.get(partition)?.offset ?? start,
    end,
  }));
}
