/**
 * Lets a fetch wait for longer after one that found nothing, and then return at the first byte.
 *
 * A fetch waits at the broker until there are enough bytes, at most for its owner's time. At one a second it costs
 * reader and broker a tenth of a percent of a core each, however little it returns. Under load the bytes are there. At
 * rest only the time counts, and six readers that each wait a tenth to a quarter of a second use several percent of a
 * core to read nothing. So after an answer without any record, the next fetch waits for a second, and after four such
 * answers for two and a half, and for one byte. What arrives meanwhile is returned sooner than by the owner's time.
 * After the first record, and after the group was joined again, the owner's values are used again.
 *
 * It does not wait for longer than that, because a member sends its heartbeat, and learns of a rebalance, between two
 * fetches (every two and a half seconds, where its session is ten), and because a partition that is resumed or sought is
 * only in the next fetch. A consumer that stops does not wait for the fetch: its connection, which is used for nothing
 * else, is broken off.
 *
 * It replaces a method of kafkajs before it is used.
 */
import './request-frame.ts';
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
