/** Which process listens where, decided before anything starts: 0 becomes a free port, a conflict becomes one line. */
import { ConfigError } from '../errors.ts';
import { freePort, requireFreePort } from './ports.ts';

export interface WantedPorts {
  readonly HOST: string;
  readonly INGEST_PORT: number;
  readonly QUERY_API_PORT: number;
  /** 0: no other than the service's own. */
  readonly INGEST_OPS_PORT: number;
  readonly QUERY_API_OPS_PORT: number;
  /** That of the first aggregator; the others follow. */
  readonly AGGREGATOR_PORT: number;
  readonly AGGREGATORS: number;
  readonly KAFKA_PORT: number;
}

export interface PortPlan {
  readonly ingest: number;
  readonly queryApi: number;
  /** Where their health is asked for. */
  readonly ingestOps: number;
  readonly queryApiOps: number;
  /** One per aggregator. */
  readonly aggregators: readonly number[];
  /** Undefined when the user's own brokers are used. */
  readonly kafka: number | undefined;
}

export const brokerHost = '127.0.0.1';

/** @throws ConfigError naming port and variable when a port is taken or asked for twice */
export async function planPorts(wanted: WantedPorts, withBroker: boolean): Promise<PortPlan> {
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
  const opsOf = async (variable: 'INGEST_OPS_PORT' | 'QUERY_API_OPS_PORT', own: number) =>
    wanted[variable] === 0 ? own : await take(variable, wanted[variable]);
  const ingestOps = await opsOf('INGEST_OPS_PORT', ingest);
  const queryApiOps = await opsOf('QUERY_API_OPS_PORT', queryApi);
  const aggregators: number[] = [];
  for (let i = 0; i < wanted.AGGREGATORS; i++) {
    aggregators.push(await take('AGGREGATOR_PORT', wanted.AGGREGATOR_PORT && wanted.AGGREGATOR_PORT + i));
  }
  const kafka = withBroker ? await take('KAFKA_PORT', wanted.KAFKA_PORT, brokerHost) : undefined;
  return { ingest, queryApi, ingestOps, queryApiOps, aggregators, kafka };
}
