/**
 * Decides which process listens on which port before anything starts: 0 becomes a free port, and a conflict becomes one
 * line.
 */
import { type Static, Type } from 'typebox';
import { ConfigError } from '../errors.ts';
import { clickHouseHost } from './clickhouse.ts';
import type { EmbeddedConfig } from './config.ts';
import { freePort, requireFreePort } from './ports.ts';

/** The settings of the programs that the plan needs. Their defaults are the programs' own. */
export const WantedPorts = Type.Object({
  HOST: Type.String(),
  INGEST_PORT: Type.Integer(),
  QUERY_API_PORT: Type.Integer(),
  SINK_PORT: Type.Integer(),
  JOBS_PORT: Type.Integer(),
  /** 0 means the service's own port. */
  INGEST_OPS_PORT: Type.Integer(),
  QUERY_API_OPS_PORT: Type.Integer(),
  /** The port of the first aggregator. The others use the ports after it. */
  AGGREGATOR_PORT: Type.Integer(),
});
export type WantedPorts = Static<typeof WantedPorts> &
  Pick<EmbeddedConfig, 'AGGREGATORS' | 'KAFKA_PORT' | 'CLICKHOUSE_HTTP_PORT' | 'CLICKHOUSE_TCP_PORT'>;

export interface PortPlan {
  readonly ingest: number;
  readonly queryApi: number;
  readonly sink: number;
  readonly jobs: number;
  /** The port for health checks. */
  readonly ingestOps: number;
  readonly queryApiOps: number;
  /** One per aggregator. */
  readonly aggregators: readonly number[];
  /** Undefined when the user's own brokers are used. */
  readonly kafka: number | undefined;
  /** Undefined when the user's own server is used. */
  readonly clickHouse: { readonly http: number; readonly tcp: number } | undefined;
}

export const brokerHost = '127.0.0.1';

/** The parts that are embedded instead of being the user's own. */
export interface Embedded {
  readonly broker: boolean;
  readonly clickHouse: boolean;
}

/** @throws ConfigError naming port and variable when a port is taken or asked for twice */
export async function planPorts(wanted: WantedPorts, embedded: Embedded): Promise<PortPlan> {
  const users = new Map<number, string>();
  const take = async (variable: string, asked: number, at = wanted.HOST) => {
    let port = asked || (await freePort(at));
    while (asked === 0 && users.has(port)) port = await freePort(at);
    const other = users.get(port);
    if (other !== undefined) throw new ConfigError(`port ${port} is asked for twice, by ${other} and ${variable}`);
    users.set(port, variable);
    await requireFreePort(at, port, variable);
    return port;
  };

  const ingest = await take('INGEST_PORT', wanted.INGEST_PORT);
  const queryApi = await take('QUERY_API_PORT', wanted.QUERY_API_PORT);
  const sink = await take('SINK_PORT', wanted.SINK_PORT);
  const jobs = await take('JOBS_PORT', wanted.JOBS_PORT);
  const opsOf = async (variable: 'INGEST_OPS_PORT' | 'QUERY_API_OPS_PORT', own: number) =>
    wanted[variable] === 0 ? own : await take(variable, wanted[variable]);
  const ingestOps = await opsOf('INGEST_OPS_PORT', ingest);
  const queryApiOps = await opsOf('QUERY_API_OPS_PORT', queryApi);
  const aggregators: number[] = [];
  for (let i = 0; i < wanted.AGGREGATORS; i++) {
    aggregators.push(await take('AGGREGATOR_PORT', wanted.AGGREGATOR_PORT && wanted.AGGREGATOR_PORT + i));
  }
  const kafka = embedded.broker ? await take('KAFKA_PORT', wanted.KAFKA_PORT, brokerHost) : undefined;
  const clickHouse = embedded.clickHouse
    ? {
        http: await take('CLICKHOUSE_HTTP_PORT', wanted.CLICKHOUSE_HTTP_PORT, clickHouseHost),
        tcp: await take('CLICKHOUSE_TCP_PORT', wanted.CLICKHOUSE_TCP_PORT, clickHouseHost),
      }
    : undefined;
  return { ingest, queryApi, sink, jobs, ingestOps, queryApiOps, aggregators, kafka, clickHouse };
}
