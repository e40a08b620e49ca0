/**
 * The one place that makes a kafkajs client. Nothing outside `infra/kafka/` imports kafkajs: its traps (see the files
 * beside this one) are dealt with here.
 */
import { createRequire } from 'node:module';
import type { Kafka, SASLOptions } from 'kafkajs';
import type { KafkaConfig } from '../config.ts';
import type { Logger } from '../log.ts';
import { createSocket } from './framed-socket.ts';
import './group-membership.ts';
import './produce-encoder.ts';
import './request-frame.ts';

// Not imported: what takes the place of its functions has to be there first.
const kafkajs: typeof import('kafkajs') = createRequire(import.meta.url)('kafkajs');

export type KafkaClient = Kafka;

/**
 * Connects nothing yet. `clientId` shows in the broker's logs and metrics. A request without an answer for
 * `requestTimeoutMs` has failed: how long a broker that hangs can hold somebody up.
 */
export function createKafka(
  config: KafkaConfig,
  clientId: string,
  log: Logger,
  requestTimeoutMs = 30_000,
): KafkaClient {
  const sasl = saslOf(config);
  return new kafkajs.Kafka({
    clientId,
    brokers: config.KAFKA_BROKERS.split(','),
    ssl: config.KAFKA_TLS,
    ...(sasl ? { sasl } : {}),
    socketFactory: createSocket,
    connectionTimeout: 3_000,
    requestTimeout: requestTimeoutMs,
    // Governs connecting: about 2.5 s, then the caller decides.
    retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5 },
    logCreator: () => entry => logEntry(log, entry),
  });
}

function saslOf(config: KafkaConfig): SASLOptions | undefined {
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_USERNAME: username, KAFKA_PASSWORD: password } = config;
  switch (mechanism) {
    case 'none':
      return undefined;
    case 'plain':
      return { mechanism, username, password };
    case 'scram-sha-256':
      return { mechanism, username, password };
    case 'scram-sha-512':
      return { mechanism, username, password };
  }
}

interface LogEntry {
  readonly namespace: string;
  readonly log: { readonly message: string; readonly [field: string]: unknown };
}

/**
 * kafkajs logs as errors what it then retries with success, every CONCURRENT_TRANSACTIONS among it. What it does not
 * overcome is thrown, and logged by whoever decides about it; so its own lines are for debugging.
 */
function logEntry(log: Logger, { namespace, log: { message, ...fields } }: LogEntry): void {
  log.debug(
    { namespace, error: fields['error'], groupId: fields['groupId'], broker: fields['broker'] },
    `kafka client: ${message}`,
  );
}
