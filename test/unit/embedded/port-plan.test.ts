import { describe, expect, it } from 'vitest';
import { planPorts } from '../../../infra/embedded/port-plan.ts';
import { quietPort } from '../../support/quiet-port.ts';

const wanted = {
  ...{ HOST: '127.0.0.1', INGEST_PORT: 0, QUERY_API_PORT: 0, INGEST_OPS_PORT: 0, QUERY_API_OPS_PORT: 0 },
  ...{ SINK_PORT: 0, JOBS_PORT: 0, AGGREGATOR_PORT: 0, AGGREGATORS: 2, KAFKA_PORT: 0 },
  ...{ CLICKHOUSE_HTTP_PORT: 0, CLICKHOUSE_TCP_PORT: 0 },
};

const own = { broker: false, clickHouse: false };

describe('the plan of ports', () => {
  it('asks services for their health on their own port, unless they have another for that', async () => {
    const INGEST_OPS_PORT = await quietPort();
    const { ingest, queryApi, ingestOps, queryApiOps } = await planPorts({ ...wanted, INGEST_OPS_PORT }, own);
    expect([ingestOps, queryApiOps]).toEqual([INGEST_OPS_PORT, queryApi]);
    expect(ingest).not.toBe(ingestOps);
  });

  it('refuses a port that is asked for twice, naming both', async () => {
    const port = await quietPort();
    await expect(planPorts({ ...wanted, INGEST_PORT: port, QUERY_API_OPS_PORT: port }, own)).rejects.toThrow(
      `port ${port} is asked for twice, by INGEST_PORT and QUERY_API_OPS_PORT`,
    );
  });
});
