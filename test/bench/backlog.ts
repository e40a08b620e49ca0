/** A topic full of clicks with its truth on a broker of its own, and what it takes to see a group read it to the end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { type Admin, ensureTopics, openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka, type KafkaClient } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { type Names, names as namesOf } from '../../infra/topics.ts';
import { startTestBroker } from '../support/broker.ts';
import type { Service } from '../support/service.ts';
import { fillByKit } from './peers.ts';
import { type Cells, fill, type Workload } from './workload.ts';

export interface Backlog extends AsyncDisposable {
  readonly brokers: string;
  readonly kafka: KafkaClient;
  readonly admin: Admin;
  readonly names: Names;
  /** What a service needs to find it. */
  readonly env: Readonly<Record<string, string>>;
  /** Distinct clicks, without late ones. */
  readonly truth: Cells;
  /** Clicks that come so late that nobody waits for them; only the kit's generator makes some. */
  readonly late: Cells;
}

/**
 * Flink asks for transactions of ten minutes; ours are held to one. The members of a group start together, as with Kafka's
 * own default (3 s); with none, as embedded, the first one takes all and has half of it taken away again.
 */
const brokerSettings = { 'transaction.max.timeout.ms': 900_000, 'group.initial.rebalance.delay.ms': 1_000 };

export interface BacklogSource {
  /** `host:port`; without, a broker is started for it. */
  readonly brokers?: string;
  /** A copy of the peers kit (peers.ts), whose generator then makes the clicks: the same as it makes for the peers. */
  readonly kit?: string | undefined;
}

export async function openBacklog(
  workload: Workload,
  { brokers: given = '', kit }: BacklogSource = {},
): Promise<Backlog> {
  await using opening = new AsyncDisposableStack();
  const brokers = given === '' ? opening.use(await startTestBroker(brokerSettings)).brokers : given;
  const kafka = createKafka(loadConfig(KafkaConfig, { KAFKA_BROKERS: brokers }), 'bench', createLog('bench', 'error'));
  const admin = opening.use(await openAdmin(kafka));
  const prefix = `bench-${Date.now()}-`;
  const names = namesOf(prefix);
  await ensureTopics(kafka, names, workload.partitions);
  const { truth, late } =
    kit === undefined
      ? { truth: await fill(kafka, names.topic('clicks'), workload), late: new Map<string, number>() }
      : await fillByKit(kit, brokers, names.topic('clicks'), workload);
  console.log(
    `${workload.clicks} clicks in ${truth.size} cells (ad, minute), ${workload.lines} a record, ${workload.ads} ads`,
  );
  const opened = opening.move();
  return {
    brokers,
    kafka,
    admin,
    names,
    env: { KAFKA_BROKERS: brokers, TOPIC_PREFIX: prefix },
    truth,
    late,
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

/** Resolves when the group has committed all there was in the topics when it was called. */
export async function caughtUp(
  { kafka, admin }: Backlog,
  group: string,
  topics: readonly string[],
  { service, limitMs }: { service: Pick<Service, 'logs'>; limitMs: number },
): Promise<void> {
  const deadline = Date.now() + limitMs;
  const ends = await Promise.all(topics.map(async topic => [topic, await admin.endOffsets(topic)] as const));
  const offsets = kafka.admin();
  await offsets.connect();
  try {
    for (;;) {
      const found = await offsets.fetchOffsets({ groupId: group, topics: [...topics] }).catch(() => []);
      const committed = new Map(
        found.flatMap(({ topic, partitions }) =>
          partitions.map(({ partition, offset }) => [`${topic}/${partition}`, Number(offset)] as const),
        ),
      );
      const isDone = ends.every(([topic, byPartition]) =>
        [...byPartition].every(
          ([partition, end]) => end === 0 || (committed.get(`${topic}/${partition}`) ?? -1) >= end,
        ),
      );
      if (isDone) return;
      if (Date.now() > deadline) throw new Error(`${group}: not done within ${limitMs} ms:\n${service.logs()}`);
      await sleep(20);
    }
  } finally {
    await offsets.disconnect();
  }
}

/** So that the next run begins at the beginning. A member that has just left may hold the group for a moment. */
export async function forgetGroup({ kafka }: Backlog, group: string): Promise<void> {
  const groups = kafka.admin();
  await groups.connect();
  for (let tried = 0; ; tried++) {
    const { groups: known } = await groups.listGroups();
    if (!known.some(({ groupId }) => groupId === group)) break;
    if (tried === 100) throw new Error(`group ${group} does not go away`);
    await groups.deleteGroups([group]).catch(() => sleep(200));
  }
  await groups.disconnect();
}
