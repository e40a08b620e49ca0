/**
 * The one place that makes a kafkajs client. Nothing outside `infra/kafka/` imports kafkajs: its traps (see the files
 * beside this one) are dealt with here.
 */
import { Kafka, logLevel, type SASLOptions } from 'kafkajs';
import type { KafkaConfig } from '../config.ts';
import type { Logger } from '../log.ts';

export type KafkaClient = Kafka;

/** Connects nothing yet. `clientId` shows in the broker's logs and metrics. */
export function createKafka(config: KafkaConfig, clientId: string, log: Logger): KafkaClient {
  const sasl = saslOf(config);
  return new Kafka({
    clientId,
    brokers: config.KAFKA_BROKERS.split(','),
    ssl: config.KAFKA_TLS,
    ...(sasl ? { sasl } : {}),
    connectionTimeout: 3_000,
    requestTimeout: 30_000,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 8 },
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
  readonly level: logLevel;
  readonly namespace: string;
  readonly log: { readonly message: string; readonly [field: string]: unknown };
}

/**
 * kafkajs logs every retried request as an error, and every pause and join as info. What needs a person comes to our
 * own log as a thrown error, so its lines are shown one level lower.
 */
function logEntry(log: Logger, { level, namespace, log: { message, ...fields } }: LogEntry): void {
  const line = { namespace, error: fields['error'], groupId: fields['groupId'], broker: fields['broker'] };
  if (level === logLevel.ERROR) log.warn(line, `kafka client: ${message}`);
  else log.debug(line, `kafka client: ${message}`);
}
