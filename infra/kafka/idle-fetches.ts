/**
 * Lets a fetch wait for longer after one that found nothing, and then return at the first byte.
 *
 * A fetch waits at the broker until there are enough bytes, at most for its owner's time. At one a second it costs
 * reader and broker a tenth of a percent of a core each, however little it returns. Under load the bytes are there. At
 * rest only the time counts, and six readers that each wait a tenth to a quarter of a second use several percent of a
 * core to read nothing. So after an answer without any record, the next fetch waits for a second, and for one byte.
 * What arrives meanwhile is returned sooner than by the owner's time. After the first record the owner's values are
 * used again.
 *
 * It does not wait for longer than that, because requests of a connection are answered in order. A heartbeat, a commit
 * or leaving the group may have to wait for the fetch before it, and a partition that is resumed or sought is only in
 * the next fetch.
 *
 * It replaces a method of kafkajs before it is used.
 */
import { createRequire } from 'node:module';

/** As far as it is used. */
interface FetchingBroker {
  fetch(asked: Asked): Promise<{
    readonly responses: readonly { readonly partitions: readonly { readonly messages: readonly unknown[] }[] }[];
  }>;
}

interface Asked {
  /** ms */
  readonly maxWaitTime: number;
  readonly minBytes: number;
}

const idleWaitMs = 1_000;

const require = createRequire(import.meta.url);
const Broker: { readonly prototype: FetchingBroker } = require('kafkajs/src/broker/index.js');

/** There is one broker object per connection of a consumer. */
const foundNothing = new WeakSet<FetchingBroker>();

const { fetch } = Broker.prototype;
Broker.prototype.fetch = async function (asked) {
  const isIdle = foundNothing.delete(this);
  const idle = { minBytes: 1, maxWaitTime: Math.max(asked.maxWaitTime, idleWaitMs) };
  const answer = await fetch.call(this, isIdle ? { ...asked, ...idle } : asked);
  const isEmpty = answer.responses.every(({ partitions }) => partitions.every(({ messages }) => messages.length === 0));
  if (isEmpty) foundNothing.add(this);
  return answer;
};
