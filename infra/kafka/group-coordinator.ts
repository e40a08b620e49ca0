/**
 * Finds the coordinator of a group wherever it is, and continues with it.
 *
 * kafkajs keeps asking the coordinator that it found when it joined. When that is gone, heartbeats and commits fail for
 * a minute. Then the consumer leaves and comes back as another member, for which the group waits until the session of
 * the first one is over. And while it waits for the answer to a heartbeat, it reads nothing. Here:
 * - When a coordinator is away, has moved or is still loading the group, it is looked up, and asked again in the name
 *   of the same member. The group's state has moved with it, and nobody must join again.
 * - All brokers are asked for it, one after another, for a few seconds, and their errors are not swallowed.
 * - A heartbeat delays reading for a moment at most. If its answer comes later, it is reported at the next heartbeat.
 * - A commit that the consumer cannot make because it has ended is an error (for kafkajs it is a success). A commit is
 *   only made in the generation for which it was requested, because after a rebalance the partition may belong to
 *   another member.
 *
 * kafkajs finds the coordinators of transactions as before. This file replaces methods of kafkajs before they are used.
 */
import './request-frame.ts';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import './bounded-requests.ts';
import './fetch-loop.ts';
import { refreshIfOld } from './metadata-age.ts';
import { answerWithin, isPassing, passOver } from './passing-errors.ts';
import { noteTrouble } from './reading-trouble.ts';

interface Coordinator {
  isConnected(): boolean;
  heartbeat(of: { groupId: string; memberId: string; groupGenerationId: number }): Promise<unknown>;
}

interface AskedBroker {
  findGroupCoordinator(asked: Asked): Promise<{ readonly coordinator: { readonly nodeId: number } }>;
}

interface Asked {
  readonly groupId: string;
  readonly coordinatorType?: number;
}

/** As far as it is used. */
export interface CoordinatedCluster {
  getNodeIds(): readonly string[];
  findBroker(of: { readonly nodeId: string | number }): Promise<AskedBroker & Coordinator>;
  findGroupCoordinator(asked: Asked): Promise<Coordinator>;
  refreshMetadata(): Promise<void>;
}

export interface ConsumerGroup {
  readonly groupId: string;
  readonly cluster: CoordinatedCluster;
  readonly memberId: string | null;
  readonly generationId: number;
  coordinator: Coordinator;
  readonly offsetManager: OffsetManager | null;
  heartbeat(of: { readonly interval: number }): Promise<void>;
}

interface OffsetManager {
  readonly cluster: CoordinatedCluster;
  readonly groupId: string;
  coordinator: Coordinator;
  getCoordinator(): Promise<Coordinator>;
  commitOffsets(offsets?: unknown): Promise<void>;
  resolveOffsets(): Promise<void>;
}

interface Runner {
  readonly running: boolean;
  readonly consumerGroup: ConsumerGroup;
  commitOffsets(offsets: unknown): Promise<void>;
}

/** 0 means the coordinator of a group, and 1 that of transactions. */
const ofGroup = 0;
const findForMs = 5_000;
const answerMs = 2_000;
const pauseMs = 250;
/** A heartbeat that gets an answer normally gets it at once. */
const heldUpMs = 200;
const beatForMs = 60_000;
const commitForMs = 20_000;

const require = createRequire(import.meta.url);
const Cluster: { readonly prototype: CoordinatedCluster } = require('kafkajs/src/cluster/index.js');
const ConsumerGroup: { readonly prototype: ConsumerGroup } = require('kafkajs/src/consumer/consumerGroup.js');
const OffsetManager: { readonly prototype: OffsetManager } = require('kafkajs/src/consumer/offsetManager/index.js');
const Runner: { readonly prototype: Runner } = require('kafkajs/src/consumer/runner.js');
const { KafkaJSGroupCoordinatorNotFound }: { KafkaJSGroupCoordinatorNotFound: new (message: string) => Error } =
  require('kafkajs/src/errors.js');

const { findGroupCoordinator } = Cluster.prototype;
Cluster.prototype.findGroupCoordinator = async function (asked) {
  const { groupId, coordinatorType = ofGroup } = asked;
  if (coordinatorType !== ofGroup) return await findGroupCoordinator.call(this, asked);
  return await persist(findForMs, async () => {
    await refreshIfOld(this);
    let failure: unknown = new KafkaJSGroupCoordinatorNotFound(`no broker is known to ask for the group ${groupId}`);
    for (const nodeId of this.getNodeIds()) {
      try {
        const found = this.findBroker({ nodeId }).then(broker =>
          broker.findGroupCoordinator({ groupId, coordinatorType }),
        );
        const { coordinator } = await answerWithin(answerMs, `coordinator of ${groupId} by broker ${nodeId}`, found);
        return await answerWithin(answerMs, `coordinator ${coordinator.nodeId}`, this.findBroker(coordinator));
      } catch (error) {
        passOver(error);
        failure = error;
      }
    }
    await this.refreshMetadata().catch(passOver);
    throw failure;
  });
};

interface Beat {
  readonly memberId: string;
  readonly generationId: number;
  underWay: boolean;
  /** On the monotonic clock. By kafkajs' own, no beat is sent for ten minutes after the clock was put back by ten. */
  endedAtMs: number;
  failure: { readonly error: unknown } | undefined;
}

const beats = new WeakMap<ConsumerGroup, Beat>();

ConsumerGroup.prototype.heartbeat = async function ({ interval }) {
  const { memberId, generationId } = this;
  if (!memberId) return;
  let beat = beats.get(this);
  if (beat?.memberId !== memberId || beat.generationId !== generationId) {
    // Results of an earlier membership say nothing about this one.
    beat = { memberId, generationId, underWay: false, endedAtMs: Number.NEGATIVE_INFINITY, failure: undefined };
    beats.set(this, beat);
  }
  if (!beat.underWay && beat.failure === undefined) {
    if (performance.now() < beat.endedAtMs + interval) return;
    const settled = beatOnce(this, beat);
    await answerWithin(heldUpMs, 'Heartbeat', settled).catch(passOver);
  }
  const { failure } = beat;
  beat.failure = undefined;
  if (failure) throw failure.error;
};

/** Never rejects. */
async function beatOnce(group: ConsumerGroup, beat: Beat): Promise<void> {
  const { memberId, generationId } = beat;
  const { groupId } = group;
  beat.underWay = true;
  try {
    await atCoordinator(beatForMs, group, async () => {
      if (group.memberId !== memberId || group.generationId !== generationId) return;
      await group.coordinator.heartbeat({ groupId, memberId, groupGenerationId: generationId });
    });
  } catch (error) {
    beat.failure = { error };
  } finally {
    beat.endedAtMs = performance.now();
    beat.underWay = false;
  }
}

OffsetManager.prototype.getCoordinator = async function () {
  const { cluster, groupId } = this;
  if (!this.coordinator.isConnected()) this.coordinator = await cluster.findGroupCoordinator({ groupId });
  return this.coordinator;
};

const { commitOffsets, resolveOffsets } = OffsetManager.prototype;
OffsetManager.prototype.commitOffsets = async function (offsets) {
  await atCoordinator(commitForMs, this, () => commitOffsets.call(this, offsets));
};

OffsetManager.prototype.resolveOffsets = async function () {
  await atCoordinator(findForMs, this, () => resolveOffsets.call(this));
};

Runner.prototype.commitOffsets = async function (offsets) {
  // The current one, because it has the generation.
  const { offsetManager } = this.consumerGroup;
  if (!this.running || offsetManager === null) throw new Error('no member of the group now, nothing is committed');
  await offsetManager.commitOffsets(offsets);
};

/** Asks the coordinator. If it cannot answer, looks it up and asks again. */
async function atCoordinator<T>(
  forMs: number,
  asking: { readonly cluster: CoordinatedCluster; readonly groupId: string; coordinator: Coordinator },
  ask: () => Promise<T>,
): Promise<T> {
  const { cluster, groupId } = asking;
  let isLost = false;
  return await persist(
    forMs,
    async () => {
      if (isLost) asking.coordinator = await cluster.findGroupCoordinator({ groupId });
      isLost = true;
      return await ask();
    },
    () => noteTrouble(groupId),
  );
}

/** Repeats the work for `forMs`, while its errors are passing ones. */
async function persist<T>(forMs: number, work: () => Promise<T>, onFailure?: () => void): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      onFailure?.();
      if (!isPassing(error) || performance.now() - startedAt > forMs) throw error;
      await sleep(pauseMs);
    }
  }
}
