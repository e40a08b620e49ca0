/** A sink that is told to end while it is still joining its groups. */
import { expect, it, vi } from 'vitest';
import { SinkConfig } from '../../aggregator/config.ts';
import { onlyNode } from '../../aggregator/sink/node.ts';
import { openSink } from '../../aggregator/sink/sink.ts';
import { loadConfig } from '../../infra/config.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { noErasures } from '../support/no-erasures.ts';
import { brokerInRealTime } from './broker-in-real-time.ts';
import { directNetwork } from './direct-network.ts';
import { fakeKafka, type Operation } from './fake-kafka.ts';
import { FakeStore, fakeClickHouse } from './fake-store.ts';

/** The brokers let the first group be joined, and answer the second one when `others` says so. */
function sink() {
  const names = namesOf('');
  const { broker } = brokerInRealTime();
  for (const topic of ['clicks', 'aggregates', 'quarantine'] as const) broker.createTopic(names.topic(topic), 1);
  for (const topic of ['job-results', 'job-requests', 'seals', 'filters', 'write-offs', 'audit'] as const)
    broker.createTopic(names.topic(topic), 1);
  const others = Promise.withResolvers<void>();
  const asked: Operation[] = [];
  const network = {
    ...directNetwork,
    async call<T>(operation: Operation, effect: () => T): Promise<T> {
      asked.push(operation);
      if (operation === 'join' && asked.filter(each => each === 'join').length > 1) await others.promise;
      return effect();
    },
  };
  const closing = new AbortController();
  const opening = openSink({
    erasures: noErasures,
    kafka: fakeKafka(broker, network),
    clickhouse: fakeClickHouse(new FakeStore(), network, () => undefined),
    node: onlyNode,
    names,
    config: loadConfig(SinkConfig, {}),
    log: createLog('test', 'silent'),
    onCrash: error => others.reject(error),
    signal: closing.signal,
  });
  return { asked, closing, opening, others };
}

it('leaves the group that it has joined, however long the next one takes', async () => {
  const { asked, closing, opening, others } = sink();
  const ended = expect(opening).rejects.toThrow('before it had joined all groups');
  await vi.waitFor(() => expect(asked.filter(each => each === 'join')).toHaveLength(2));
  expect(asked).not.toContain('leave');
  closing.abort();
  await vi.waitFor(() => expect(asked).toContain('leave'));
  // Also what joins only now is closed, and nothing further is joined.
  others.resolve();
  await ended;
  expect(asked.filter(each => each === 'leave')).toHaveLength(2);
  expect(asked.filter(each => each === 'join')).toHaveLength(2);
});

it('is closed by its owner alone once it is open', async () => {
  const { asked, closing, opening, others } = sink();
  others.resolve();
  const opened = await opening;
  closing.abort();
  await new Promise(resolve => setTimeout(resolve, 20));
  expect(asked).not.toContain('leave');
  await opened[Symbol.asyncDispose]();
  expect(asked.filter(each => each === 'leave')).toHaveLength(3);
});
