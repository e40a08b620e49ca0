/** How a runner reacts to rebalances. How long nobody works is measured in test/simulation/job-lease.test.ts. */
import { expect, it } from 'vitest';
import type { KafkaClient } from '../../../infra/kafka/client.ts';
import { createLog } from '../../../infra/log.ts';
import { names as namesOf } from '../../../infra/topics.ts';
import { openLease } from '../../../query-api/jobs/runner/lease.ts';
import type { Term } from '../../../query-api/jobs/runner/term.ts';

const events = { GROUP_JOIN: 'join', START_BATCH_PROCESS: 'batch', CRASH: 'crash' };
const settled = () => new Promise(resolve => setImmediate(resolve));

/** One member of the group. The test assigns the lease to it, or takes it away. */
async function oneRunner() {
  const listeners = new Map<string, (event: object) => void>();
  const asked: object[] = [];
  const consumer = {
    events,
    on: (name: string, listener: (event: object) => void) => void listeners.set(name, listener),
    async connect() {},
    async subscribe() {},
    async run() {},
    async disconnect() {},
    async commitOffsets() {},
    pause() {},
  };
  const kafka = {
    consumer(options: object) {
      asked.push(options);
      return consumer;
    },
  } as unknown as KafkaClient;
  const beginning: PromiseWithResolvers<Term>[] = [];
  const lease = await openLease({
    ...{ kafka, names: namesOf(''), sessionTimeoutMs: 6_000, log: createLog('test', 'silent') },
    beginTerm: () => {
      const term = Promise.withResolvers<Term>();
      beginning.push(term);
      return term.promise;
    },
    work: () => ({ [Symbol.asyncDispose]: async () => undefined }),
    onCrash: () => undefined,
  });
  const assign = (partitions: readonly number[]) =>
    listeners.get(events.GROUP_JOIN)?.({ payload: { memberAssignment: { 'job-requests': partitions } } });
  return { lease, assign, beginning, asked };
}

function term() {
  const over = new AbortController();
  const told = { renewals: 0 };
  const made: Term = {
    since: 1,
    log: { write: async () => undefined },
    ended: over.signal,
    async renew() {
      told.renewals++;
    },
    [Symbol.asyncDispose]: async () => over.abort(),
  };
  return { made, told, over };
}

it('asks after each rebalance that leaves the lease where it was whether its term still holds', async () => {
  const { assign, beginning } = await oneRunner();
  const { made, told, over } = term();
  assign([0]);
  await settled();
  beginning[0]?.resolve(made);
  await settled();
  expect(told.renewals).toBe(0);
  assign([0]);
  expect(told.renewals).toBe(1);
  assign([]);
  over.abort(new Error('over'));
  expect([told.renewals, beginning.length]).toEqual([1, 1]);
});

it('asks once its term has begun, where the rebalance came before', async () => {
  const { assign, beginning } = await oneRunner();
  const { made, told } = term();
  assign([0]);
  await settled();
  assign([0]);
  expect(told.renewals).toBe(0);
  beginning[0]?.resolve(made);
  await settled();
  expect([told.renewals, beginning.length]).toEqual([1, 1]);
});

it('hears within a second who holds the lease', async () => {
  const { asked } = await oneRunner();
  expect(asked).toEqual([
    expect.objectContaining({ sessionTimeout: 6_000, heartbeatInterval: 500, maxWaitTimeInMs: 250 }),
  ]);
});

it('is not ready while it has the lease and its term is over', async () => {
  const { lease, assign, beginning } = await oneRunner();
  const { made, over } = term();
  expect(() => lease.check()).not.toThrow();
  assign([0]);
  expect(() => lease.check()).toThrow(
    'this process holds the lease of the job runner but has no term: the lease was assigned just now',
  );
  await settled();
  beginning[0]?.resolve(made);
  await settled();
  expect(() => lease.check()).not.toThrow();
  over.abort(new Error('another has fenced it'));
  await settled();
  expect(() => lease.check()).toThrow('but has no term: another has fenced it');
  await lease[Symbol.asyncDispose]();
});
