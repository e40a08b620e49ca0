/**
 * Lists the children of `npm start` in the order in which they start. They stop in the opposite order, so that clicks
 * drain downwards.
 */
import { join } from 'node:path';
import type { ClickHouseConfig } from '../config.ts';
import type { Logger } from '../log.ts';
import { type CommandName, commands } from '../server/commands.ts';
import { startBroker } from './broker.ts';
import { startClickHouse } from './clickhouse.ts';
import type { EmbeddedConfig } from './config.ts';
import { requireFreeDisk } from './disk.ts';
import { recordChild } from './orphans.ts';
import { brokerHost, type PortPlan } from './port-plan.ts';
import { startService } from './service.ts';
import type { ChildSpec } from './supervisor.ts';

export interface BrokerPrograms {
  readonly java: string;
  readonly jars: string;
}

export function brokerChild(
  settings: EmbeddedConfig,
  port: number,
  programs: BrokerPrograms,
  log: Logger,
  say: (line: string) => void,
): ChildSpec {
  const { DATA_DIR: dataDir, KAFKA_HEAP_MB: heapMb, MIN_FREE_DISK_MB, START_TIMEOUT_MS: timeoutMs } = settings;
  return {
    name: 'broker',
    async start(signal) {
      await requireFreeDisk(dataDir, MIN_FREE_DISK_MB);
      return startBroker({ dataDir, host: brokerHost, port, heapMb, ...programs, log, timeoutMs, say, signal });
    },
  };
}

export function clickHouseChild(
  settings: EmbeddedConfig & ClickHouseConfig,
  ports: { readonly http: number; readonly tcp: number },
  say: (line: string) => void,
): ChildSpec {
  const {
    DATA_DIR: dataDir,
    CLICKHOUSE_MEMORY_MB: memoryMb,
    CLICKHOUSE_PASSWORD: password,
    MIN_FREE_DISK_MB,
    START_TIMEOUT_MS: timeoutMs,
  } = settings;
  return {
    name: 'clickhouse',
    async start(signal) {
      await requireFreeDisk(dataDir, MIN_FREE_DISK_MB);
      const running = await startClickHouse({
        ...{ dataDir, memoryMb, password, timeoutMs, say, signal },
        httpPort: ports.http,
        tcpPort: ports.tcp,
      });
      recordChild(dataDir, 'clickhouse', running.pid);
      return running;
    },
  };
}

/**
 * The order of the stages: the sink takes what the aggregators and the job runner write, and the aggregators take what
 * ingest writes.
 */
export function serviceStages(
  dataDir: string,
  env: NodeJS.ProcessEnv,
  ports: PortPlan,
  urlOf: (port: number) => string,
  onLine: (line: string) => void,
): readonly (readonly ServiceSpec[])[] {
  const service = (
    name: string,
    command: CommandName,
    port: number,
    portVariable: string,
    opsPort = port,
  ): ServiceSpec => ({
    name,
    opsPort,
    healthUrl: urlOf(opsPort),
    async start() {
      const own = { ...env, [portVariable]: `${port}` };
      const running = await startService({ program: join(root, commands[command].program), env: own, onLine });
      recordChild(dataDir, name, running.pid);
      return running;
    },
  });
  const several = ports.aggregators.length > 1;
  return [
    [
      service('query-api', 'query-api', ports.queryApi, 'QUERY_API_PORT', ports.queryApiOps),
      service('sink', 'sink', ports.sink, 'SINK_PORT'),
    ],
    [
      ...ports.aggregators.map((port, i) => {
        return service(several ? `aggregator-${i + 1}` : 'aggregator', 'aggregator', port, 'AGGREGATOR_PORT');
      }),
      service('jobs', 'jobs', ports.jobs, 'JOBS_PORT'),
    ],
    [service('ingest', 'ingest', ports.ingest, 'INGEST_PORT', ports.ingestOps)],
  ];
}

export interface ServiceSpec extends ChildSpec {
  /** The port on which it reports whether it is ready. */
  readonly opsPort: number;
}

const root = join(import.meta.dirname, '..', '..');
