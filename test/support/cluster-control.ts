/**
 * Kafka's own admin client and consumer, in a JVM that stays (ClusterControl.java), for what kafkajs cannot do or must
 * not be believed: elections, reassignments, who leads and coordinates what, and the log read back as a second opinion.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { javaProgram } from './java-program.ts';

export interface PartitionState {
  readonly topic: string;
  readonly partition: number;
  /** -1: none. */
  readonly leader: number;
  readonly isr: readonly number[];
  readonly replicas: readonly number[];
}

export interface LeaderMove {
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
  readonly to: number;
  /** Epoch ms, when it was seen. */
  readonly at: number;
}

/** A line of a record's value. */
export interface LoggedLine {
  readonly partition: number;
  readonly offset: number;
  /** Epoch ms, the broker's. */
  readonly appendedAt: number;
  /** Values of the header asked for, joined by commas. */
  readonly kind: string;
  readonly line: string;
}

export interface ClusterControl extends AsyncDisposable {
  describe(topics: readonly string[]): Promise<PartitionState[]>;
  /** Brokers that the controller takes for alive. */
  nodes(): Promise<number[]>;
  /** Of the controllers' quorum. */
  controller(): Promise<number>;
  groupCoordinator(group: string): Promise<number>;
  /** Broker by transactional id. */
  transactionCoordinators(ids: readonly string[]): Promise<Map<string, number>>;
  setting(topic: string, name: string): Promise<string>;
  /** Partition to replicas; the first is the preferred leader. Resolves when the controller has taken it, not when it is done. */
  assign(topic: string, replicas: ReadonlyMap<number, readonly number[]>): Promise<void>;
  /** Partitions whose reassignment is not done. */
  reassigning(): Promise<number>;
  /** Gives the partitions of the topics to their preferred leaders; resolves to how many moved. */
  electPreferred(topics: readonly string[]): Promise<number>;
  /** From now on every move of a leader is noted, as metadata shows it so often. */
  watch(topics: readonly string[], everyMs: number): Promise<void>;
  readonly moves: readonly LeaderMove[];
  /** All of a topic as Kafka's own read_committed consumer sees it; `file` is written on the way. */
  read(topic: string, file: string, header?: string): Promise<LoggedLine[]>;
}

export interface ControlOptions {
  readonly java: string;
  readonly jars: string;
  readonly brokers: string;
}

const flags = ['-Xmx256m', '-XX:TieredStopAtLevel=1'];

export async function openClusterControl({ java, jars, brokers }: ControlOptions): Promise<ClusterControl> {
  const program = await javaProgram('ClusterControl', { java, jars });
  const child = spawn(java, [...flags, ...program, brokers], { stdio: ['pipe', 'pipe', 'pipe'] });
  const waiting = new Map<string, { resolve(words: string[]): void; reject(reason: Error): void }>();
  const moves: LeaderMove[] = [];
  const ready = Promise.withResolvers<void>();
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4_000);
  });
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()));
  void exited.then(() => {
    const reason = new Error(`the control of the cluster has ended: ${said}`);
    ready.reject(reason);
    for (const { reject } of waiting.values()) reject(reason);
    waiting.clear();
  });
  createInterface({ input: child.stdout }).on('line', line => {
    const [first = '', second = '', ...words] = line.split(' ');
    if (first === 'ready') return ready.resolve();
    if (first === 'moved') {
      const [partition, from, to] = words.map(Number) as [number, number, number];
      return void moves.push({ topic: second, partition, from, to, at: Date.now() });
    }
    const asked = waiting.get(first);
    waiting.delete(first);
    if (second === 'ok') asked?.resolve(words.filter(word => word !== ''));
    else asked?.reject(new Error(words.join(' ')));
  });
  let serial = 0;
  const ask = (...words: readonly (string | number)[]) =>
    new Promise<string[]>((resolve, reject) => {
      const number = `${++serial}`;
      waiting.set(number, {
        resolve,
        reject: reason => reject(new Error(`${words.join(' ').slice(0, 100)}: ${reason.message}`)),
      });
      child.stdin.write(`${[number, ...words].join(' ')}\n`);
    });
  const first = async (...words: readonly (string | number)[]) => (await ask(...words))[0] ?? '';
  await ready.promise;
  return {
    moves,
    describe: async topics => (await ask('describe', ...topics)).map(stateIn),
    nodes: async () => (await ask('nodes')).map(Number),
    controller: async () => Number(await first('controller')),
    groupCoordinator: async group => Number(await first('group', group)),
    async transactionCoordinators(ids) {
      const words = await ask('transactions', ...ids);
      return new Map(
        words.map(word => word.split(':') as [string, string]).map(([id, broker]) => [id, Number(broker)]),
      );
    },
    setting: (topic, name) => first('setting', topic, name),
    async assign(topic, replicas) {
      await ask('assign', topic, ...[...replicas].map(([partition, ids]) => `${partition}:${ids.join('+')}`));
    },
    reassigning: async () => Number(await first('reassigning')),
    electPreferred: async topics => Number(await first('elect', ...topics)),
    async watch(topics, everyMs) {
      await ask('watch', everyMs, ...topics);
    },
    async read(topic, file, header = 'kind') {
      await ask('read', topic, header, file);
      return linesIn(file);
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      const force = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await exited;
      clearTimeout(force);
    },
  };
}

function stateIn(word: string): PartitionState {
  const [topic = '', partition, leader, isr = '', replicas = ''] = word.split(':');
  const ids = (text: string) => text.split('+').filter(Boolean).map(Number);
  return { topic, partition: Number(partition), leader: Number(leader), isr: ids(isr), replicas: ids(replicas) };
}

function linesIn(file: string): LoggedLine[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(text => text !== '')
    .map(text => {
      const [partition, offset, appendedAt, kind = '', ...line] = text.split('\t');
      return {
        partition: Number(partition),
        offset: Number(offset),
        appendedAt: Number(appendedAt),
        kind,
        line: line.join('\t'),
      };
    });
}
