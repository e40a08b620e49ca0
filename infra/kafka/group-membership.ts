/**
 * Keeps a consumer reading as the same member while the cluster rearranges itself.
 *
 * When a leader has moved, kafkajs joins the group again, which stops all its members. When one broker cannot be
 * reached, it ends all its fetches, and after about 60 such errors, over whatever time, it leaves the group. It comes
 * back as a new member, for which the group waits until the session of the former one is over. Here:
 * - A passing error of one broker (passing-errors.ts) delays only that broker's partitions. The leaders are looked up
 *   again, and after a pause the fetch is repeated, for as long as it takes.
 * - The group is joined again only when its partitions have changed or the coordinator requires it: once for all
 *   fetches that notice it, and as the same member, until the coordinator has been found.
 * - A consumer that was stopped does not join any more. kafkajs may begin to read after it was closed. The consumer does
 *   not wait for records that it will not take either: a fetch that is in progress is broken off.
 *
 * When one partition has an error, its record batch delays what the same answer contains of other partitions, because
 * kafkajs refuses the whole answer, until the leader has moved. This file replaces methods of kafkajs before they are
 * used.
 */
import './fetch-loop.ts';
import './request-frame.ts';
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
  // A new leader may not know yet that it is one. That a topic is gone is visible in the metadata.
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
