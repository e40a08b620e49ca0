/**
 * A reader that found nothing waits for longer at the broker, and hears at once when something comes. A fetch waits at
 * the broker until there are enough bytes, at most for its owner's time, and costs reader and broker a tenth of a
 * percent of a core at one a second, however little it brings. Under load the bytes are there; at rest the time alone
 * counts, and six readers that each wait a tenth to a quarter of a second take several percent of a core to read
 * nothing. So after an answer without any record the next fetch waits for a second, after four of them for two and a half,
 * and for one byte: what comes in meanwhile is there sooner than by the owner's time. After the first record, and after the
 * group was joined anew, the owner's terms hold again.
 *
 * Not longer than that: between two fetches a member says that it is alive and hears of a rebalance (every two and a half
 * seconds, where its session is ten), and a partition that is resumed or sought is in the next fetch. Who stops does not
 * wait for the fetch: its connection, on which nothing else is asked, is broken off.
 *
 * It takes the place of kafkajs' method, before it is used.
 */
import { createRequire } from 'node:module';

/** As far as it is used. */
interface FetchingBroker {
  fetch(asked: Asked): Promise<{
    readonly responses: readonly { readonly partitions: readonly { readonly messages: readonly unknown[] }[] }[];
  }>;
  /** As kafkajs has it, the second connection is for fetches alone. */
  readonly connectionPool?: { readonly pool: readonly Connection[] };
}

interface Connection {
  readonly socket?: { destroy(): void };
  rejectRequests(error: Error): void;
  disconnect(): Promise<unknown>;
}

interface Asked {
  /** ms */
  readonly maxWaitTime: number;
  readonly minBytes: number;
}

const idleWaitMs = 1_000;
const longIdleWaitMs = 2_500;
/** Of fetches without a record, one after another. */
const longAfter = 4;

const require = createRequire(import.meta.url);
const Broker: { readonly prototype: FetchingBroker } = require('kafkajs/src/broker/index.js');

/** Of those whose owner always waits for the first byte, for how long. */
const patience = new WeakMap<FetchingBroker, number>();
/** How many of its last fetches brought nothing. One broker object per consumer. */
const emptyFetches = new WeakMap<FetchingBroker, number>();

const { fetch } = Broker.prototype;
Broker.prototype.fetch = async function (asked) {
  const before = emptyFetches.get(this) ?? 0;
  emptyFetches.delete(this);
  const ownMs = patience.get(this);
  const waitMs = ownMs ?? (before >= longAfter ? longIdleWaitMs : idleWaitMs);
  const idle = { minBytes: 1, maxWaitTime: Math.max(asked.maxWaitTime, waitMs) };
  const answer = await fetch.call(this, before > 0 || ownMs !== undefined ? { ...asked, ...idle } : asked);
  const isEmpty = answer.responses.every(({ partitions }) => partitions.every(({ messages }) => messages.length === 0));
  if (isEmpty) emptyFetches.set(this, before + 1);
  return answer;
};

/**
 * The group is joined. The next fetch is on the owner's terms, as what is assigned anew is resumed soon, one partition after
 * another; or, where `waitMs` is given, each waits for so long for the first byte.
 */
export function beginFetches(brokers: Iterable<object>, waitMs?: number): void {
  for (const broker of brokers as Iterable<FetchingBroker>) {
    emptyFetches.delete(broker);
    if (waitMs !== undefined) patience.set(broker, waitMs);
  }
}

/** Ends the fetches that are under way, with an error. */
export function breakOffFetches(brokers: Iterable<object>): void {
  for (const broker of brokers) {
    const connection = (broker as FetchingBroker).connectionPool?.pool[fetchConnection];
    // Or kafkajs would wait for the answer before it disconnects.
    connection?.rejectRequests(new Error('the consumer stops'));
    connection?.socket?.destroy();
    connection?.disconnect().catch(() => undefined);
  }
}

const fetchConnection = 1;
