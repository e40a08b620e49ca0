/** The ClickHouse server under a fault bench: on the same ports and directory for all its lives. */
import { type ClickHouseEnv, type ClickHouseServer, startClickHouse } from '../../infra/embedded/clickhouse.ts';
import { quietPort } from '../support/quiet-port.ts';

export interface Database extends AsyncDisposable {
  readonly env: ClickHouseEnv;
  /** SIGKILL, and starts it again. */
  bounce(): Promise<void>;
}

export async function startDatabase(dataDir: string): Promise<Database> {
  const options = { dataDir, memoryMb: 4_096, httpPort: await quietPort(), tcpPort: await quietPort() };
  let server: ClickHouseServer = await startClickHouse(options);
  const kill = async () => {
    process.kill(server.pid, 'SIGKILL');
    await server.exited;
  };
  return {
    env: server.env,
    async bounce() {
      await kill();
      server = await startClickHouse(options);
    },
    [Symbol.asyncDispose]: kill,
  };
}
