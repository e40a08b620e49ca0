/** What can befall a cluster: each round is a list of these, made when its turn comes, as leaders and coordinators move. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fill } from '../storm.ts';
import type { ClusterStage } from './stage.ts';
import type { StrikePlan } from './strikes.ts';

export type ClusterFault = (stage: ClusterStage) => Promise<StrikePlan>;

/** SIGTERM, as an upgrade does to one broker after the other. */
export function cleanStop(id: number): ClusterFault {
  return async ({ cluster }) => ({
    kind: 'clean roll',
    what: `broker ${id}`,
    broker: id,
    lastsMs: 0,
    async strike() {
      const at = Date.now();
      await cluster.broker(id).stop();
      return at;
    },
    heal: () => cluster.broker(id).start(),
  });
}

export function kill(kind: string, choose: (stage: ClusterStage) => Promise<number>): ClusterFault {
  return async stage => {
    const id = await choose(stage);
    return {
      kind,
      what: `broker ${id}`,
      broker: id,
      lastsMs: 6_000,
      strike: () => killed(stage, id),
      heal: () => stage.cluster.broker(id).start(),
    };
  };
}

/** Who leads most of the clicks, and is not the active controller as well: whoever elects is another kind of fault. */
export async function leader({ cluster, names }: ClusterStage): Promise<number> {
  const controlling = await cluster.control.controller();
  const states = await cluster.control.describe([names.topic('clicks')]);
  return mostOf(states.map(state => state.leader).filter(broker => broker !== controlling));
}

export function controller({ cluster }: ClusterStage): Promise<number> {
  return cluster.control.controller();
}

export function groupCoordinator({ cluster, names }: ClusterStage): Promise<number> {
  return cluster.control.groupCoordinator(names.aggregatorGroup);
}

/** Who coordinates most of the aggregators' transactions. */
export async function transactionCoordinator({ cluster, names, partitions }: ClusterStage): Promise<number> {
  const ids = Array.from({ length: partitions }, (_, partition) => names.transactionalId(partition));
  return mostOf([...(await cluster.control.transactionCoordinators(ids)).values()]);
}

/** Replication stands still among all three: each leader is alone in its ISR, and must not acknowledge. */
export const isrOfOne: ClusterFault = async stage => {
  const { cluster, names } = stage;
  const links = pairsOf(cluster.ids).flatMap(([a, b]) => cluster.linksBetween(a, b, 'replication'));
  return {
    kind: 'ISR of one',
    what: 'no replication',
    isEverybody: true,
    lastsMs: 20_000,
    async strike() {
      for (const link of links) link.cut();
      return Date.now();
    },
    async refuses() {
      const deadline = Date.now() + 30_000;
      for (;;) {
        const states = await cluster.control.describe([names.topic('clicks')]).catch(() => []);
        if (states.length > 0 && states.every(({ isr }) => isr.length < 2)) return;
        if (Date.now() > deadline) throw new Error(`no ISR of one: ${JSON.stringify(states)}`);
        await sleep(250);
      }
    },
    async heal() {
      for (const link of links) link.mend();
    },
  };
};

/** Two of three: no quorum either, so nobody is elected, and the one left cannot even shrink its ISR. */
export function twoDown(left: number): ClusterFault {
  return async stage => {
    const { cluster } = stage;
    const down = cluster.ids.filter(id => id !== left);
    return {
      kind: 'two brokers down',
      what: `brokers ${down.join(' and ')}`,
      isEverybody: true,
      lastsMs: 15_000,
      async strike() {
        for (const id of down) await cluster.broker(id).kill();
        return Date.now();
      },
      refuses: async () => undefined,
      async heal() {
        for (const id of down) await cluster.broker(id).start();
      },
    };
  };
}

export function paused(id: number): ClusterFault {
  return async ({ cluster }) => ({
    kind: 'paused 20 s',
    what: `broker ${id}`,
    broker: id,
    lastsMs: 20_000,
    async strike() {
      cluster.broker(id).pause();
      return Date.now();
    },
    heal: async () => cluster.broker(id).resume(),
  });
}

/** We still reach it, and it thinks it leads. */
export function cutFromBrokers(id: number): ClusterFault {
  return async ({ cluster }) => {
    const links = cluster.ids.filter(other => other !== id).flatMap(other => cluster.linksBetween(id, other, 'all'));
    return {
      kind: 'cut off from the other brokers 20 s',
      what: `broker ${id}`,
      broker: id,
      lastsMs: 20_000,
      async strike() {
        for (const link of links) link.cut();
        return Date.now();
      },
      async heal() {
        for (const link of links) link.mend();
      },
    };
  };
}

/** To the other brokers it is well: it stays the leader of what it leads. */
export function cutFromUs(id: number): ClusterFault {
  return async ({ cluster }) => ({
    kind: 'cut off from us 20 s',
    what: `broker ${id}`,
    broker: id,
    lastsMs: 20_000,
    async strike() {
      cluster.linkToClients(id).cut();
      return Date.now();
    },
    heal: async () => cluster.linkToClients(id).mend(),
  });
}

/** Every second each partition is given to the next of its replicas, for `seconds`. */
export function elections(seconds: number): ClusterFault {
  return async stage => ({
    kind: 'elections every second',
    what: `${seconds} s`,
    isEverybody: true,
    lastsMs: 0,
    async strike() {
      const at = Date.now();
      for (let turn = 1; turn <= seconds; turn++) {
        await assignAll(stage, (partition, ids) => rotated(ids, partition + turn));
        await stage.cluster.control.electPreferred([stage.names.topic('clicks')]).catch(() => 0);
        await sleep(at + turn * 1_000 - Date.now());
      }
      return at;
    },
    heal: () => assignAll(stage, (partition, ids) => rotated(ids, partition)),
  });
}

/** Each partition leaves its leader's broker altogether, comes back as a copy from the others, and so on, round by round. */
export function reassignments(rounds: number): ClusterFault {
  return async stage => ({
    kind: 'reassignment',
    what: `${rounds} rounds`,
    isEverybody: true,
    lastsMs: 0,
    async strike() {
      const at = Date.now();
      for (let turn = 0; turn < rounds; turn++) {
        await assignAll(stage, (partition, ids) => rotated(ids, partition + turn + 1).slice(0, 2));
        await reassigned(stage);
        await assignAll(stage, (partition, ids) => rotated(ids, partition + turn + 1));
        await reassigned(stage);
        await stage.cluster.control.electPreferred([stage.names.topic('clicks')]).catch(() => 0);
      }
      return at;
    },
    heal: () => assignAll(stage, (partition, ids) => rotated(ids, partition)),
  });
}

/** Its directory is a small file system: Kafka ends a broker that cannot write. */
export function diskFull(id: number): ClusterFault {
  return async ({ cluster }) => {
    const broker = cluster.broker(id);
    const filler = join(broker.logs, 'filler');
    return {
      kind: 'disk full',
      what: `broker ${id}`,
      broker: id,
      lastsMs: 15_000,
      async strike() {
        const at = Date.now();
        await fill(filler);
        return at;
      },
      async heal() {
        rmSync(filler, { force: true });
        await broker.kill();
        await broker.start();
      },
    };
  };
}

async function killed({ cluster }: ClusterStage, id: number): Promise<number> {
  await cluster.broker(id).kill();
  return Date.now();
}

async function assignAll(stage: ClusterStage, to: (partition: number, ids: readonly number[]) => number[]) {
  const { cluster, names, partitions } = stage;
  const all = Array.from({ length: partitions }, (_, partition) => [partition, to(partition, cluster.ids)] as const);
  await cluster.control.assign(names.topic('clicks'), new Map(all));
}

async function reassigned({ cluster }: ClusterStage): Promise<void> {
  const deadline = Date.now() + 60_000;
  while ((await cluster.control.reassigning().catch(() => 1)) > 0) {
    if (Date.now() > deadline) throw new Error('a reassignment is not done within 60 s');
    await sleep(100);
  }
}

function rotated(ids: readonly number[], by: number): number[] {
  return ids.map((_, index) => ids[(index + by) % ids.length]!);
}

function pairsOf(ids: readonly number[]): [number, number][] {
  return ids.flatMap(a => ids.filter(b => a < b).map(b => [a, b] as [number, number]));
}

function mostOf(ids: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts].reduce((most, next) => (next[1] > most[1] ? next : most))[0];
}
