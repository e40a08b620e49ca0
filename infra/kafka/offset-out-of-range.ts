/**
 * A consumer that asks for what the log no longer holds, or does not hold yet, ends with `Corrupt`. kafkajs would go to
 * the begin of the log and commit that: what lies between would be passed over without a word.
 *
 * It takes the place of kafkajs' method, before it is used.
 */
import { createRequire } from 'node:module';
import { Corrupt } from '../errors.ts';

/** As far as it is used. */
interface ConsumerGroup {
  readonly groupId: string;
  readonly preferredReadReplicasPerTopicPartition: Readonly<Record<string, Readonly<Record<number, number>>>>;
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
  // A follower may be behind: its leader is asked.
  if (typeof this.preferredReadReplicasPerTopicPartition[topic]?.[partition] === 'number') {
    return await recover.call(this, error);
  }
  const offset = this.offsetManager.nextOffset(topic, partition).toString();
  const found = new Corrupt(
    `${this.groupId}: offset ${offset} of ${topic}[${partition}] is not in the log: retention has removed what was not ` +
      'read yet, or the topic was made anew. To go on with what is left, stop the process and set the offsets of the group',
  );
  // Or kafkajs would try again for a minute, and then join the group anew.
  throw Object.assign(found, { retriable: false });
};
