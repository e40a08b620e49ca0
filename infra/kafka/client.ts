/**
 * Creates the kafkajs client, and is the only place that does. Nothing outside `infra/kafka/` imports kafkajs: its
 * traps (see the files beside this one) are handled here.
 */
import { createRequire } from 'node:module';
import type { Kafka, SASLOptions } from 'kafkajs';
import type { KafkaConfig } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Connecting } from './broker-link.ts';
import type { AppendWaits, BrokerRequests } from './broker-requests.ts';
import { createSocket } from './framed-socket.ts';
import { openKafkaJsRequests } from './kafkajs-requests.ts';
import './group-membership.ts';
import './idle-fetches.ts';
import './quiet-connections.ts';
import './request-frame.ts';

// kafkajs is not imported, because the replacements of its functions must be in place first.
const require = createRequire(import.meta.url);
const kafkajs: typeof import('kafkajs') = require('kafkajs');
const createConnectionPoolBuilder: (
  options: object,
) => Connecting['builder'] = require('kafkajs/src/cluster/connectionPoolBuilder.js');
const { createLogger }: { createLogger(options: object): object } = require('kafkajs/src/loggers/index.js');

/** kafkajs without its producer: decision 013. */
export interface KafkaClient extends Pick<Kafka, 'admin' | 'consumer'> {
  /** For writing, over separate connections that are made when they are needed. */
  brokerRequests(): BrokerRequests;
  /** For waiting until something is appended, likewise. */
  appendWaits(): AppendWaits;
}

const connectionTimeoutMs = 3_000;
/**
 * The limit of all requests for writing, except the writing itself. A coordinator that hangs is left, and looked up
 * again.
 */
const coordinatorTimeoutMs = 5_000;

/**
 * Makes no connection yet. `clientId` is shown in the broker's logs and metrics. A request without an answer for
 * `requestTimeoutMs` has failed, so this is how long a broker that hangs can delay a caller.
 */
export function createKafka(
  config: KafkaConfig,
  clientId: string,
  log: Logger,
  requestTimeoutMs = 30_000,
): KafkaClient {
  const sasl = saslOf(config);
  const brokers = config.KAFKA_BROKERS.split(',');
  const logCreator = () => (entry: LogEntry) => logEntry(log, entry);
  const connection = {
    clientId,
    brokers,
    ssl: config.KAFKA_TLS,
    ...(sasl ? { sasl } : {}),
    socketFactory: createSocket,
    connectionTimeout: connectionTimeoutMs,
    requestTimeout: requestTimeoutMs,
  };
  const client = new kafkajs.Kafka({
    ...connection,
    // Applies to connecting: about 2.5 s, then the caller decides.
    retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5 },
    logCreator,
  });
  const openRequests = () => {
    const logger = createLogger({ level: kafkajs.logLevel.INFO, logCreator });
    const requestTimeout = Math.min(requestTimeoutMs, coordinatorTimeoutMs);
    const builder = createConnectionPoolBuilder({
      ...connection,
      requestTimeout,
      enforceRequestTimeout: true,
      logger,
    });
    return openKafkaJsRequests({ builder, logger }, brokers.map(addressOf));
  };
  return {
    admin: options => client.admin(options),
    consumer: options => client.consumer(options),
    brokerRequests: openRequests,
    appendWaits: openRequests,
  };
}

function addressOf(broker: string): { host: string; port: number } {
  const colon = broker.lastIndexOf(':');
  return { host: broker.slice(0, colon), port: Number(broker.slice(colon + 1)) };
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
 * kafkajs logs as errors what it then repeats with success, for example every CONCURRENT_TRANSACTIONS. What it does not
 * overcome is thrown, and logged by the code that decides about it. So the lines of kafkajs itself are for debugging.
 */
function logEntry(log: Logger, { namespace, log: { message, ...fields } }: LogEntry): void {
  log.debug(
    { namespace, error: fields['error'], groupId: fields['groupId'], broker: fields['broker'] },
    `kafka client: ${message}`,
  );
}
