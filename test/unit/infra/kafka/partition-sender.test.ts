import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Sender } from '../../../../infra/kafka/partition-sender.ts';
import { type Fate, HostileCluster } from './hostile-cluster.ts';

const timeoutMs = 5_000;

function setUp(leaders: readonly number[]) {
  const cluster = new HostileCluster(leaders);
  const sender = new Sender(cluster, { acks: -1, timeoutMs });
  const outcomes = new Map<string, string>();
  const send = (partition: number, ...values: string[]) => {
    for (const value of values) outcomes.set(value, 'pending');
    sender.send(
      { topic: 'clicks', partition },
      {
        take: () => values.map(value => ({ partition, value })),
        settled(error) {
          for (const value of values) outcomes.set(value, error ? 'failed' : 'acknowledged');
        },
      },
    );
  };
  return { cluster, sender, send, outcomes };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('Sender', () => {
  it('sends each leader one request with what its own partitions have waiting', async () => {
    const { cluster, send, outcomes } = setUp([1, 2, 1]);
    for (const partition of [0, 1, 2]) send(partition, `v${partition}`);
    await pass(1);
    expect(cluster.asked).toEqual([
      { node: 1, partitions: [0, 2] },
      { node: 2, partitions: [1] },
    ]);
    expect([...outcomes.values()]).toEqual(['acknowledged', 'acknowledged', 'acknowledged']);
  });

  it('writes a partition whose leader has moved to a broker that has answered already', async () => {
    const { cluster, send, outcomes } = setUp([1, 2]);
    cluster.hang(2);
    send(0, 'a');
    send(1, 'b');
    await pass(10);
    expect([...outcomes]).toEqual([
      ['a', 'acknowledged'],
      ['b', 'pending'],
    ]);
    cluster.leaderOf.set(1, 1);
    cluster.release(2);
    await pass(500);
    expect([cluster.valuesOf(0), cluster.valuesOf(1), outcomes.get('b')]).toEqual([['a'], ['b'], 'acknowledged']);
  });

  it('takes nothing for acknowledged that the answer lacks, and writes it again', async () => {
    const { cluster, send, outcomes } = setUp([1, 1]);
    cluster.fates.push('answer lacks a partition');
    send(0, 'a');
    send(1, 'b');
    await pass(1);
    expect([...outcomes.values()]).toEqual(['pending', 'acknowledged']);
    await pass(500);
    expect([...outcomes.values()]).toEqual(['acknowledged', 'acknowledged']);
    expect([cluster.valuesOf(0), cluster.valuesOf(1)]).toEqual([['a'], ['b']]);
  });

  it('never takes a former leader’s refusal for done', async () => {
    const { cluster, send, outcomes } = setUp([1]);
    cluster.toldLeaderOf.set(0, 2);
    send(0, 'a');
    await pass(timeoutMs + 1_000);
    expect([outcomes.get('a'), cluster.valuesOf(0)]).toEqual(['failed', []]);
  });

  it('delays only the partitions of a broker that hangs', async () => {
    const { cluster, send, outcomes } = setUp([1, 2]);
    cluster.hang(1);
    send(0, 'slow');
    for (let i = 0; i < 20; i++) {
      send(1, `fast${i}`);
      await pass(10);
    }
    expect(outcomes.get('slow')).toBe('pending');
    expect(cluster.valuesOf(1)).toHaveLength(20);
  });

  it('asks another leader as soon as there is one, though the former is silent', async () => {
    const { cluster, send, outcomes } = setUp([1, 2]);
    cluster.hang(1);
    send(0, 'a');
    await pass(300);
    cluster.leaderOf.set(0, 2);
    await pass(1_500);
    expect([outcomes.get('a'), cluster.valuesOf(0)]).toEqual(['acknowledged', ['a']]);
  });

  it('has one batch of a partition under way, and asks for the next one’s records at the last moment', async () => {
    const { cluster, sender } = setUp([1]);
    cluster.hang(1);
    const taken: string[] = [];
    const batch = (value: string) => ({
      take: () => {
        taken.push(value);
        return [{ partition: 0, value }];
      },
      settled: () => undefined,
    });
    for (const value of ['a', 'b', 'c']) sender.send({ topic: 'clicks', partition: 0 }, batch(value));
    await pass(100);
    expect(taken).toEqual(['a']);
    cluster.release(1);
    await pass(100);
    expect(cluster.valuesOf(0)).toEqual(['a', 'b', 'c']);
  });

  it('writes nothing of a batch that was given up before the connection stood: its memory is used again', async () => {
    const { cluster, send, outcomes } = setUp([1, 1]);
    cluster.fates.push('connects slowly');
    send(0, 'given up');
    await pass(timeoutMs - 100);
    send(1, 'b');
    await pass(200);
    expect(outcomes.get('given up')).toBe('failed');
    cluster.release(1);
    await pass(1_000);
    expect([cluster.valuesOf(0), cluster.valuesOf(1)]).toEqual([[], ['b']]);
  });

  it('leaves out a batch that has nothing to send any more', async () => {
    const { cluster, sender } = setUp([1]);
    const settled = vi.fn();
    sender.send({ topic: 'clicks', partition: 0 }, { take: () => undefined, settled });
    await pass(10);
    expect([settled.mock.calls, cluster.asked]).toEqual([[[undefined]], []]);
  });

  it('gives a partition another identity after a batch has failed: its sequence numbers are never used again', async () => {
    const { cluster, send, outcomes } = setUp([1]);
    send(0, 'a');
    await pass(1);
    cluster.hang(1);
    send(0, 'in doubt');
    await pass(timeoutMs + 100);
    expect(outcomes.get('in doubt')).toBe('failed');
    // Late, the broker appends it all the same.
    cluster.release(1);
    send(0, 'b');
    await pass(1_000);
    expect([cluster.valuesOf(0), outcomes.get('b')]).toEqual([['a', 'in doubt', 'b'], 'acknowledged']);
    expect(cluster.identities).toBe(2);
  });

  it('lets a failure of one partition be no matter of another', async () => {
    const { cluster, send, outcomes } = setUp([1, 2]);
    cluster.leaderOf.delete(0);
    send(0, 'a');
    send(1, 'b');
    await pass(timeoutMs + 100);
    send(1, 'c');
    await pass(10);
    expect([...outcomes]).toEqual([
      ['a', 'failed'],
      ['b', 'acknowledged'],
      ['c', 'acknowledged'],
    ]);
    expect(cluster.identities).toBe(1);
  });

  it('acknowledges only what is in the log, once and in order, whatever brokers and leaders do', async () => {
    const fate: fc.Arbitrary<Fate> = fc.constantFrom(
      'answered',
      'answered',
      'answer lost',
      'request lost',
      'hangs',
      'answer lacks a partition',
      'partition passed over',
      'connects slowly',
      'timed out after append',
      'not enough replicas',
    );
    const partition = fc.nat(3);
    const node = fc.integer({ min: 1, max: 3 });
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ send: partition, values: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 2, arbitrary: fc.record({ fate }) },
      { weight: 2, arbitrary: fc.record({ move: partition, to: node }) },
      { weight: 1, arbitrary: fc.record({ lie: partition, to: node }) },
      { weight: 2, arbitrary: fc.record({ release: node }) },
      { weight: 4, arbitrary: fc.record({ pass: fc.constantFrom(1, 30, 300, 1_000, timeoutMs) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async steps => {
        const { cluster, sender, send, outcomes } = setUp([1, 2, 3, 1]);
        const sent = new Map<number, string[]>();
        let serial = 0;
        for (const each of steps) {
          if ('send' in each) {
            const values = Array.from({ length: each.values }, () => `v${++serial}`);
            sent.set(each.send, [...(sent.get(each.send) ?? []), ...values]);
            send(each.send, ...values);
          } else if ('fate' in each) cluster.fates.push(each.fate);
          else if ('move' in each) cluster.leaderOf.set(each.move, each.to);
          else if ('lie' in each) cluster.toldLeaderOf.set(each.lie, each.to);
          else if ('release' in each) cluster.release(each.release);
          else await pass(each.pass);
          if (!('lie' in each)) cluster.toldLeaderOf.clear();
        }
        cluster.fates.length = 0;
        for (const broker of [1, 2, 3]) cluster.release(broker);
        await pass(3 * timeoutMs);
        for (const broker of [1, 2, 3]) cluster.release(broker);
        await pass(timeoutMs);
        expect([...outcomes.values()]).not.toContain('pending');
        for (const [of, values] of sent) {
          const log = cluster.valuesOf(of);
          const acknowledged = values.filter(value => outcomes.get(value) === 'acknowledged');
          expect(new Set(log).size).toBe(log.length);
          expect(log.filter(value => outcomes.get(value) === 'acknowledged')).toEqual(acknowledged);
        }
        await sender[Symbol.asyncDispose]();
      }),
      { numRuns: 400 },
    );
  });

  it('ends as a whole with the first failure in a transaction, which has one identity only', async () => {
    const cluster = new HostileCluster([1, 2]);
    const identity = { producerId: '7', producerEpoch: 3 };
    const sender = new Sender(cluster, { acks: -1, timeoutMs, transaction: { transactionalId: 't', identity } });
    const outcomes: (string | undefined)[] = [];
    const settled = (error?: Error) => outcomes.push(error?.message);
    cluster.leaderOf.delete(0);
    for (const partition of [0, 1]) {
      sender.send({ topic: 'clicks', partition }, { take: () => [{ partition, value: 'x' }], settled });
    }
    await pass(timeoutMs + 100);
    sender.send({ topic: 'clicks', partition: 1 }, { take: () => [{ partition: 1, value: 'y' }], settled });
    await pass(10);
    expect(outcomes).toEqual([
      undefined,
      expect.stringMatching(/not acknowledged/),
      expect.stringMatching(/not acknowledged/),
    ]);
    expect(cluster.valuesOf(1)).toEqual(['x']);
  });
});
