/**
 * Represents a connection to one broker, over kafkajs' `Broker`. It is made once, and given up for good after the first
 * error.
 */
import { createRequire } from 'node:module';
import type { RequestBody } from './request-frame.ts';

const require = createRequire(import.meta.url);

/** What kafkajs sends, and how it reads the answer. */
export interface Protocol<T> {
  readonly request: {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly apiName: string;
    encode(): Promise<RequestBody>;
    expectResponse?(): boolean;
  };
  readonly response: { decode(answer: Buffer): Promise<unknown>; parse(decoded: unknown): Promise<T> };
  /** Longer than the connection's own limit. */
  readonly requestTimeout?: number;
}

/** As far as they are used. */
interface Connection {
  readonly socket?: { destroy(): void };
  rejectRequests(error: Error): void;
  disconnect(): Promise<unknown>;
}
interface ConnectionPool {
  readonly pool: readonly Connection[];
  send<T>(protocol: Protocol<T>): Promise<T>;
}
export interface KafkaJsBroker {
  readonly connectionPool: ConnectionPool;
  readonly versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>> | null;
  lookupRequest(apiKey: number, definition: unknown): (of: object) => Protocol<unknown>;
  connect(): Promise<void>;
  isConnected(): boolean;
  findGroupCoordinator(of: object): Promise<{ readonly coordinator: { nodeId: number; host: string; port: number } }>;
  initProducerId(of: object): Promise<{ readonly producerId: string; readonly producerEpoch: number }>;
  addPartitionsToTxn(of: object): Promise<{ readonly errors: readonly PartitionErrors<'partitionErrors'>[] }>;
  addOffsetsToTxn(of: object): Promise<unknown>;
  txnOffsetCommit(of: object): Promise<{ readonly topics: readonly PartitionErrors<'partitions'>[] }>;
  endTxn(of: object): Promise<unknown>;
}
type PartitionErrors<Name extends string> = { readonly topic: string } & {
  readonly [_ in Name]: readonly { readonly partition: number }[];
};

const Broker: new (options: {
  connectionPool: ConnectionPool;
  logger: object;
  allowAutoTopicCreation: boolean;
}) => KafkaJsBroker = require('kafkajs/src/broker/index.js');

/** How kafkajs connects: addresses, TLS, SASL, time limits. */
export interface Connecting {
  readonly builder: { build(address: { host: string; port: number }): Promise<ConnectionPool> };
  readonly logger: object;
}

export class BrokerLink {
  readonly #connecting: Connecting;
  readonly #address: { readonly host: string; readonly port: number };
  #broker: Promise<KafkaJsBroker> | undefined;
  #connected: KafkaJsBroker | undefined;

  constructor(connecting: Connecting, address: { readonly host: string; readonly port: number }) {
    this.#connecting = connecting;
    this.#address = address;
  }

  get isConnected(): boolean {
    return this.#connected?.isConnected() ?? false;
  }

  /**
   * Only one caller at a time makes the connection. Two that connect side by side would make two sockets
   * (kafkajs#1050). An error that is not an answer of the broker ends the connection, with all requests on it.
   */
  async ask<T>(ask: (broker: KafkaJsBroker) => Promise<T>): Promise<T> {
    if (this.#connected !== undefined && !this.#connected.isConnected()) this.breakOff('the connection was closed');
    this.#broker ??= this.#connect();
    const connecting = this.#broker;
    try {
      return await ask(await connecting);
    } catch (error) {
      if (!isAnswer(error) && this.#broker === connecting) this.breakOff(String(error));
      throw error;
    }
  }

  breakOff(why: string): void {
    const broker = this.#broker;
    this.#broker = undefined;
    this.#connected = undefined;
    broker?.then(
      ({ connectionPool }) => {
        for (const connection of connectionPool.pool) {
          // Otherwise kafkajs would wait for their answers before it disconnects.
          connection.rejectRequests(new Error(`connection broken off: ${why}`));
          connection.socket?.destroy();
          connection.disconnect().catch(() => undefined);
        }
      },
      () => undefined,
    );
  }

  async #connect(): Promise<KafkaJsBroker> {
    const { builder, logger } = this.#connecting;
    const connectionPool = await builder.build(this.#address);
    const broker = new Broker({ connectionPool, logger, allowAutoTopicCreation: false });
    await broker.connect();
    this.#connected = broker;
    return broker;
  }
}

/** Whether the broker has answered, with an error. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && typeof Reflect.get(error, 'type') === 'string';
}
