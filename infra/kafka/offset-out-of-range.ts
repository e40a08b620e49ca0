/**
 * Ends a consumer with `Corrupt` when it asks for records that the log no longer holds, or does not hold yet. kafkajs
 * would go to the beginning of the log and commit that offset, and silently skip the records in between.
 *
 * That the log begins after the requested offset is certain at once. That it ends before that offset may also be said
 * by a broker that the others have lost and that still acts as leader, so it is believed only after half a minute.
 *
 * It replaces a method of kafkajs before it is used.
 */
import './fetch-loop.ts';
import './request-frame.ts';
import { createRequire } from 'node:module';
import { Corrupt } from '../errors.ts';
import { passOver } from './passing-errors.ts';

/** As far as it is used. */
interface ConsumerGroup {
  readonly groupId: string;
  readonly preferredReadReplicasPerTopicPartition: Readonly<Record<string, Readonly<Record<number, number>>>>;
  readonly cluster: {
    refreshMetadata(): Promise<void>;
    fetchTopicsOffset(of: readonly object[]): Promise<readonly { partitions: readonly { offset: string }[] }[]>;
  };
  readonly offsetManager: { nextOffset(topic: string, partition: number): { toString(): string } };
  recoverFromOffsetOutOfRange(error: OutOfRange): Promise<void>;
}

interface OutOfRange {
  readonly topic: string;
  readonly partition: number;
}

const ConsumerGroup: { prototype: ConsumerGroup } = createRequire(import.meta.url)(
  'kafkajs/src/consumer/consumerGroup.js',
);
const recover = ConsumerGroup.prototype.recoverFromOffsetOutOfRange;
ConsumerGroup.prototype.recoverFromOffsetOutOfRange = async function (error) {
  const { topic, partition } = error;
  // A follower may be behind, so the leader is asked.
  if (typeof this.preferredReadReplicasPerTopicPartition[topic]?.[partition] === 'number') {
    return await recover.call(this, error);
  }
  if (!(await isSure(this, error))) return;
  const offset = this.offsetManager.nextOffset(topic, partition).toString();
  const found = new Corrupt(
    `${this.groupId}: offset ${offset} of ${topic}[${partition}] is not in the log: retention has removed records that were not ` +
      'read yet, or the topic was created again. To continue with the remaining records, stop the process and set the offsets of the group',
  );
  // Otherwise kafkajs would try again for a minute, and then join the group again.
  throw Object.assign(found, { retriable: false });
};

const believedAfterMs = 30_000;
const pauseMs = 500;
/** Since when, and at which offset, a partition of a group seems to end too early. */
const doubts = new WeakMap<ConsumerGroup, Map<string, { readonly offset: string; readonly sinceMs: number }>>();

async function isSure(group: ConsumerGroup, { topic, partition }: OutOfRange): Promise<boolean> {
  const offset = group.offsetManager.nextOffset(topic, partition).toString();
  const begins = await group.cluster.fetchTopicsOffset([{ topic, partitions: [{ partition }], fromBeginning: true }]);
  if (Number(offset) < Number(begins[0]?.partitions[0]?.offset)) return true;
  const of = doubts.get(group) ?? new Map<string, { readonly offset: string; readonly sinceMs: number }>();
  doubts.set(group, of);
  const name = `${topic}[${partition}]`;
  const now = performance.now();
  const doubt = of.get(name);
  if (doubt === undefined || doubt.offset !== offset) of.set(name, { offset, sinceMs: now });
  else if (now - doubt.sinceMs >= believedAfterMs) return true;
  await group.cluster.refreshMetadata().catch(passOver);
  await new Promise(resolve => setTimeout(resolve, pauseMs));
  return false;
}
