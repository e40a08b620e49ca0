/**
 * Three real Kafka brokers on loopback: replication 3, `min.insync.replicas` 2, each a process with its own directory and
 * ports. With `links`, everything between two brokers and between us and a broker goes through links that can be cut
 * apart from each other; the control (Kafka's own admin client) always has doors of its own.
 *
 * They are three controllers too: with two of them down nobody can elect a leader or shrink an ISR. An ISR of one is
 * had by cutting what replicates, not what controls.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureClassArchive } from '../../infra/embedded/broker-classes.ts';
import { type BrokerSettings, serverSettings, writeSettings } from '../../infra/embedded/broker-files.ts';
import { ensureBrokerJars } from '../../infra/embedded/broker-jars.ts';
import { mintClusterId } from '../../infra/embedded/broker-storage.ts';
import { findJava } from '../../infra/embedded/java.ts';
import { createLog } from '../../infra/log.ts';
import { type ClusterBroker, clusterBroker, type Door } from './cluster-broker.ts';
import { type ClusterControl, openClusterControl } from './cluster-control.ts';
import { quietPort } from './quiet-port.ts';
import { openTcpLink, type TcpLink } from './tcp-link.ts';
import { eventually } from './wait.ts';

export interface KafkaCluster extends AsyncDisposable {
  /** For the processes under test: `host:port,…`. */
  readonly brokers: string;
  /** For the test itself: no link lies between. */
  readonly direct: string;
  readonly ids: readonly number[];
  readonly control: ClusterControl;
  broker(id: number): ClusterBroker;
  /** The links from `a` to `b` and back; `replication`: of the brokers, not of the controllers. */
  linksBetween(a: number, b: number, which: 'all' | 'replication'): readonly TcpLink[];
  linkToClients(id: number): TcpLink;
  /** All brokers are up, every partition of every topic named has a leader and all its replicas. */
  inSync(topics: readonly string[], timeoutMs?: number): Promise<void>;
  /** Ends of the brokers' own logs. */
  lastWords(): string;
}

export interface ClusterOptions {
  readonly links?: boolean;
  readonly heapMb?: number;
  readonly settings?: BrokerSettings;
  /** Called with each broker's directory of logs, which is there, before its first start; disposed of at the end. */
  readonly prepare?: (id: number, logs: string) => Promise<AsyncDisposable | undefined>;
}

const ids = [1, 2, 3] as const;
const host = '127.0.0.1';

export async function startKafkaCluster(options: ClusterOptions = {}): Promise<KafkaCluster> {
  const { links: hasLinks = false, heapMb = 192, settings = {}, prepare } = options;
  const java = await findJava();
  const jars = await ensureBrokerJars({ onFetch: console.log });
  await ensureClassArchive({ java, jars, log: createLog('broker', 'warn'), onMake: console.log });
  await using stack = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), 'test-cluster-'));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));

  const links = new Map<string, TcpLink>();
  const doorOf = async (id: number, name: string, isLinked: boolean): Promise<Door> => {
    const behind = await quietPort();
    if (!hasLinks || !isLinked) return { name, behind, front: behind };
    const link = stack.use(await openTcpLink(await quietPort(), behind));
    links.set(`${name} → ${id}`, link);
    return { name, behind, front: link.port };
  };
  const doors = new Map<number, Door[]>();
  for (const id of ids) {
    const own = [await doorOf(id, 'DIRECT', false), await doorOf(id, 'CLIENT', true)];
    for (const from of ids) {
      own.push(await doorOf(id, `FROM_${from}`, from !== id), await doorOf(id, `CONTROL_${from}`, from !== id));
    }
    doors.set(id, own);
  }
  const frontOf = (id: number, name: string) => doors.get(id)?.find(door => door.name === name)?.front ?? 0;

  const formatted = await formattedLogs(java, jars, directory);
  const brokers = ids.map(id =>
    clusterBroker({
      id,
      directory: join(directory, `${id}`),
      formatted,
      doors: doors.get(id) ?? [],
      peerDoor: `FROM_${id}`,
      controllerDoors: [id, ...ids.filter(other => other !== id)].map(other => `CONTROL_${other}`),
      voters: ids.map(other => `${other}@${host}:${frontOf(other, `CONTROL_${id}`)}`).join(','),
      ...{ settings, heapMb, java, jars },
    }),
  );
  stack.defer(async () => {
    // Nothing of it is read again: no reason to wait for a good end.
    for (const broker of brokers) await broker.kill();
  });
  const lastWords = () => brokers.map(broker => broker.lastWords()).join('\n');
  for (const broker of brokers) {
    mkdirSync(broker.logs, { recursive: true });
    stack.use(await prepare?.(broker.id, broker.logs));
    await broker.start();
  }
  const direct = ids.map(id => `${host}:${frontOf(id, 'DIRECT')}`).join(',');
  const control = stack.use(await openClusterControl({ java, jars, brokers: direct }));
  const inSync = async (topics: readonly string[], timeoutMs = 110_000) => {
    let last = '';
    await eventually(
      'all brokers and replicas in sync',
      async () => {
        try {
          const nodes = await control.nodes();
          const partitions = topics.length === 0 ? [] : await control.describe(topics);
          const lacking = partitions.filter(p => p.leader === -1 || p.isr.length < Math.max(p.replicas.length, 2));
          last = `brokers ${nodes}; ${JSON.stringify(lacking.slice(0, 3))}`;
          return nodes.length === ids.length && lacking.length === 0;
        } catch (error) {
          last = `${error}`;
          return false;
        }
      },
      timeoutMs,
    ).catch(error => {
      throw new Error(`${error}: ${last}\n${lastWords()}`);
    });
  };
  await inSync([]);
  const held = stack.move();
  return {
    brokers: ids.map(id => `${host}:${frontOf(id, 'CLIENT')}`).join(','),
    direct,
    ids,
    control,
    broker: id => brokers[id - 1]!,
    linksBetween(a, b, which) {
      const kinds = which === 'all' ? ['FROM', 'CONTROL'] : ['FROM'];
      const found = kinds.flatMap(kind => [links.get(`${kind}_${a} → ${b}`), links.get(`${kind}_${b} → ${a}`)]);
      return found.filter(link => link !== undefined);
    },
    linkToClients(id) {
      const link = links.get(`CLIENT → ${id}`);
      if (link === undefined) throw new Error('the cluster was started without links');
      return link;
    },
    inSync,
    lastWords,
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  };
}

async function formattedLogs(java: string, jars: string, directory: string): Promise<string> {
  const logs = join(directory, 'formatted');
  mkdirSync(directory, { recursive: true });
  const properties = join(directory, 'format.properties');
  writeSettings(properties, {
    ...serverSettings({ host, port: 9092, controllerPort: 9093 }, logs),
    'min.insync.replicas': 2,
  });
  const flags = ['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', join(jars, '*')];
  const format = ['kafka.tools.StorageTool', 'format', '--cluster-id', mintClusterId(), '--config', properties];
  await promisify(execFile)(java, [...flags, ...format]);
  return logs;
}
