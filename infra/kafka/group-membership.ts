/**
 * Keeps a consumer reading, as the member it is, while the cluster rearranges itself. kafkajs joins the group anew whenever
 * a leader has moved, which stops all its members; ends all its fetches, and after some 60 such errors, over whatever time,
 * leaves the group, where one broker cannot be reached; and comes back as a new member, for which the group waits until
 * the session of the former one is over. Here
 * - what goes wrong with one broker and passes (passing-errors.ts) holds up that broker's partitions alone: the leaders are
 *   looked for anew, and after a pause it is fetched again, for as long as it takes;
 * - the group is joined again only where its partitions have changed or the coordinator demands it, once for all fetches
 *   that notice it, and as the same member, until the coordinator has been found;
 * - a consumer that has been stopped joins nothing any more: kafkajs may begin to read after it was closed. And it does not
 *   wait for records that it will not take: a fetch that is under way is broken off.
 *
 * A record batch of a partition with an error holds back what the same answer brings of others, as kafkajs refuses the
 * answer whole; until the leader has moved. It takes the place of kafkajs' methods, before they are used.
 */
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import './checked-answers.ts';
import './group-coordinator.ts';
import { beginFetches, breakOffFetches } from './idle-fetches.ts';
import './metadata-refresh.ts';
import { isPassing, passOver } from './passing-errors.ts';
import { noteTrouble } from './reading-trouble.ts';

/** As far as it is used. */
export interface ConsumerGroup {
  readonly groupId: string;
  readonly cluster: {
    refreshMetadata(): Promise<void>;
    readonly brokerPool?: { readonly brokers: Record<string, object> };
  };
  joinAndSync(): Promise<void>;
  recoverFromFetch(error: unknown): Promise<void>;
}

interface Runner {
  readonly consumerGroup: ConsumerGroup;
  stop(): Promise<void>;
}

const pauseMs = 150;
const joinPauseMs = 250;
const joinForMs = 60_000;

const require = createRequire(import.meta.url);
const ConsumerGroup: { readonly prototype: ConsumerGroup } = require('kafkajs/src/consumer/consumerGroup.js');
const Runner: { readonly prototype: Runner } = require('kafkajs/src/consumer/runner.js');
const { KafkaJSNonRetriableError }: { KafkaJSNonRetriableError: new (message: string) => Error } =
  require('kafkajs/src/errors.js');

const { recoverFromFetch, joinAndSync } = ConsumerGroup.prototype;

ConsumerGroup.prototype.recoverFromFetch = async function (error) {
  if (stopped.has(this)) return;
  // A new leader may not know yet that it is one; that a topic is gone shows in the metadata.
  if (!isPassing(error) && Reflect.get(Object(error), 'type') !== 'UNKNOWN_TOPIC_OR_PARTITION')
    return await recoverFromFetch.call(this, error);
  noteTrouble(this.groupId);
  await this.cluster.refreshMetadata().catch(passOver);
  await sleep(pauseMs);
};

/** By group. */
const firstByteWaitMs = new Map<string, number>();

/** For who has one partition and nothing to share: his fetches wait for so long, from when the group is joined. */
export function waitForFirstByte(groupId: string, waitMs: number): void {
  firstByteWaitMs.set(groupId, waitMs);
}

const joining = new WeakMap<ConsumerGroup, Promise<void>>();

ConsumerGroup.prototype.joinAndSync = function () {
  const underWay = joining.get(this);
  if (underWay) return underWay;
  const joined = join(this).finally(() => joining.delete(this));
  joining.set(this, joined);
  return joined;
};

async function join(group: ConsumerGroup): Promise<void> {
  const startedAt = performance.now();
  for (;;) {
    noteTrouble(group.groupId);
    if (stopped.has(group)) throw new KafkaJSNonRetriableError(`the consumer of ${group.groupId} has been stopped`);
    try {
      await joinAndSync.call(group);
      return beginFetches(brokersOf(group), firstByteWaitMs.get(group.groupId));
    } catch (error) {
      if (!isPassing(error) || performance.now() - startedAt > joinForMs) throw error;
      await sleep(joinPauseMs);
    } finally {
      noteTrouble(group.groupId);
    }
  }
}

const stopped = new WeakSet<ConsumerGroup>();

const { stop } = Runner.prototype;
Runner.prototype.stop = async function () {
  stopped.add(this.consumerGroup);
  const ended = stop.call(this);
  breakOffFetches(brokersOf(this.consumerGroup));
  await ended;
};

function brokersOf({ cluster }: ConsumerGroup): readonly object[] {
  return Object.values(cluster.brokerPool?.brokers ?? {});
}
