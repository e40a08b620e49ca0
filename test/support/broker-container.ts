/** The test broker in a container. Only where the image is already there: a test run downloads nothing. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { GenericContainer, Wait } from 'testcontainers';
import { type BrokerSettings, serverSettings } from '../../infra/embedded/broker-files.ts';
import type { TestBroker } from './broker.ts';

const image = 'apache/kafka:4.1.1';

export async function hasKafkaImage(): Promise<boolean> {
  try {
    await promisify(execFile)('docker', ['image', 'inspect', image], { timeout: 5_000 });
    return true;
  } catch {
    return false;
  }
}

/** `port` is the same inside and outside: it is the address the broker tells its clients. */
export async function startBrokerContainer(host: string, port: number, more: BrokerSettings): Promise<TestBroker> {
  const settings = {
    ...serverSettings({ host: '0.0.0.0', port, controllerPort: port === 9093 ? 9094 : 9093 }, '/tmp/kafka-logs'),
    'advertised.listeners': `CLIENT://${host}:${port}`,
    ...more,
  };
  const container = await new GenericContainer(image)
    .withEnvironment(asEnvironment(settings))
    .withExposedPorts({ container: port, host: port })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .start();
  return {
    brokers: `${host}:${port}`,
    host,
    port,
    pid: 0,
    stop: async () => void (await container.stop({ timeout: 6_000, remove: false })),
    kill: async () => void (await promisify(execFile)('docker', ['kill', container.getId()])),
    restart: () => container.restart({ timeout: 6_000 }),
    async [Symbol.asyncDispose]() {
      await container.stop({ timeout: 0 });
    },
  };
}

/** The image reads `log.dirs` from `KAFKA_LOG_DIRS`. */
function asEnvironment(settings: Readonly<Record<string, string | number>>): Record<string, string> {
  const entries = Object.entries(settings).map(([key, value]) => {
    return [`KAFKA_${key.toUpperCase().replaceAll('.', '_')}`, `${value}`] as const;
  });
  return Object.fromEntries(entries);
}
