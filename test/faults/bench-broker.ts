/** The real broker with a second door, which leads through a proxy that cuts replies; it can be killed and started again. */
import { join } from 'node:path';
import { type Broker, startBroker } from '../../infra/embedded/broker.ts';
import { ensureBrokerJars } from '../../infra/embedded/broker-jars.ts';
import { findJava } from '../../infra/embedded/java.ts';
import { createLog } from '../../infra/log.ts';
import { quietPort } from '../support/quiet-port.ts';
import { openReplyCutter, type ReplyCutter } from './tcp-proxy.ts';

export interface BenchBroker extends AsyncDisposable {
  /** For the processes under test. */
  readonly proxied: string;
  /** For the bench itself. */
  readonly direct: string;
  readonly cutter: ReplyCutter;
  end(how: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  start(): Promise<void>;
}

const host = '127.0.0.1';

export async function startBenchBroker(scratch: string): Promise<BenchBroker> {
  const [port, behind, front] = [await quietPort(), await quietPort(), await quietPort()];
  const java = await findJava();
  const jars = await ensureBrokerJars({ onFetch: console.log });
  const log = createLog('broker', 'error');
  const start = () =>
    startBroker({
      dataDir: join(scratch, 'broker'),
      host,
      port,
      heapMb: 256,
      jars,
      java,
      log,
      settings: ours => ({
        ...ours,
        listeners: `${ours['listeners']},PROXIED://${host}:${behind}`,
        'advertised.listeners': `${ours['advertised.listeners']},PROXIED://${host}:${front}`,
        'listener.security.protocol.map': `${ours['listener.security.protocol.map']},PROXIED:PLAINTEXT`,
      }),
    });
  let broker: Broker | undefined = await start();
  // Whatever ends the bench ends it too.
  const onExit = () => {
    if (broker !== undefined) process.kill(broker.pid, 'SIGKILL');
  };
  process.once('exit', onExit);
  const cutter = await openReplyCutter('kafka', front, behind);
  return {
    proxied: `${host}:${front}`,
    direct: `${host}:${port}`,
    cutter,
    async end(how) {
      if (broker === undefined) return;
      process.kill(broker.pid, how);
      await broker.exited;
      broker = undefined;
    },
    async start() {
      broker ??= await start();
    },
    async [Symbol.asyncDispose]() {
      process.off('exit', onExit);
      await broker?.stop(6_000);
      await cutter[Symbol.asyncDispose]();
    },
  };
}
