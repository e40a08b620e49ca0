/**
 * Writes everything that the embedded broker keeps under `<DATA_DIR>/kafka/`, and its settings. They are those of a
 * cluster with one node on one machine: loopback only, one replica, few threads, and quick starts and stops.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface BrokerFiles {
  readonly home: string;
  readonly logs: string;
  readonly serverProperties: string;
  readonly loggingProperties: string;
  readonly brokerLog: string;
  /** The output of the JVM itself: bad flags, out of memory. It is emptied at each start. */
  readonly console: string;
  readonly pid: string;
}

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  readonly controllerPort: number;
}

export type BrokerSettings = Readonly<Record<string, string | number>>;

export function brokerFiles(dataDir: string): BrokerFiles {
  const home = resolve(dataDir, 'kafka');
  mkdirSync(home, { recursive: true });
  return {
    home,
    logs: join(home, 'logs'),
    serverProperties: join(home, 'server.properties'),
    loggingProperties: join(home, 'log4j2.properties'),
    brokerLog: join(home, 'broker.log'),
    console: join(home, 'broker-console.log'),
    pid: join(home, 'broker.pid'),
  };
}

/** Made by `broker-classes.ts`. */
export function classArchiveIn(jars: string): string {
  return join(jars, 'classes.jsa');
}

/** The JVM ignores an archive that it cannot use, for example one of another Java version. */
export function sharedClasses(jars: string): string[] {
  const archive = classArchiveIn(jars);
  return existsSync(archive) ? [`-XX:SharedArchiveFile=${archive}`] : [];
}

/** Written again at each start, because the ports may have changed, and so that an upgrade takes effect. */
export function writeSettings(path: string, settings: BrokerSettings): void {
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${`${value}`.replaceAll('\\', '\\\\')}\n`);
  writeFileSync(path, lines.join(''));
}

const maxRecordBatchBytes = 16 << 20;
const dayMs = 24 * 3_600_000;

export function serverSettings({ host, port, controllerPort }: BrokerAddress, logDir: string) {
  return {
    'process.roles': 'broker,controller',
    'node.id': 1,
    // The voters are static: the controller may listen on another port at each start, and none of this is stored.
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `CLIENT://${host}:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `CLIENT://${host}:${port}`,
    'inter.broker.listener.name': 'CLIENT',
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': logDir,
    'auto.create.topics.enable': 'false',

    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 8,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 8,

    // A pipeline that stood still for months must find its offsets again. Without them it would not know where it was.
    'offsets.retention.minutes': 10 * 365 * 24 * 60,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1_000,
    // The open transaction of a dead task holds back every reader of its partition, so such transactions are looked for
    // every second.
    'transaction.max.timeout.ms': 60_000,
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': 1_000,
    // The time for which the registration of a killed broker remains. The restarted broker waits for its end.
    'broker.session.timeout.ms': 3_000,
    'broker.heartbeat.interval.ms': 500,
    // By default, a controller without news reports twice a second that it has none.
    'metadata.max.idle.interval.ms': 60_000,

    'message.max.bytes': maxRecordBatchBytes,
    'replica.fetch.max.bytes': maxRecordBatchBytes,
    'socket.request.max.bytes': 4 * maxRecordBatchBytes,
    'log.retention.ms': 7 * dayMs,
    // With small segments, space is freed soon after retention, and a killed broker has little to check at its next
    // start.
    'log.segment.bytes': 128 << 20,
    'log.index.size.max.bytes': 1 << 20,

    'num.network.threads': 2,
    'num.io.threads': 4,
    'background.threads': 2,
    'num.recovery.threads.per.data.dir': 2,
    'log.cleaner.dedupe.buffer.size': 16 << 20,
  };
}

/** At most 5 × 10 MB of broker log. */
export function loggingSettings(brokerLog: string) {
  return {
    'rootLogger.level': 'WARN',
    'rootLogger.appenderRef.file.ref': 'file',
    'logger.kafka.name': 'kafka.server',
    'logger.kafka.level': 'INFO',
    // These are a few thousand lines of configuration at each start, and again for each client.
    'logger.config.name': 'org.apache.kafka.common.config',
    'logger.config.level': 'WARN',
    'appender.file.type': 'RollingFile',
    'appender.file.name': 'file',
    'appender.file.fileName': brokerLog,
    'appender.file.filePattern': `${brokerLog}.%i`,
    'appender.file.layout.type': 'PatternLayout',
    'appender.file.layout.pattern': '%d{yyyy-MM-dd HH:mm:ss,SSS} %p %m (%c{1})%n',
    'appender.file.policies.type': 'Policies',
    'appender.file.policies.size.type': 'SizeBasedTriggeringPolicy',
    'appender.file.policies.size.size': '10MB',
    'appender.file.strategy.type': 'DefaultRolloverStrategy',
    'appender.file.strategy.max': 4,
  };
}
