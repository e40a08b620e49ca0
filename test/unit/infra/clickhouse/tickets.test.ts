/** Requests for raw clicks and others, by a server that is in the hands of the test: what runs when, and in whose places. */
import type { ClickHouseClient } from '@clickhouse/client';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Asker, askedBy, shared } from '../../../../infra/asking.ts';
import { readsRefused, readsRunning, readsWaiting } from '../../../../infra/clickhouse/metrics.ts';
import { createReads, type ReadKind, type Reads, type Sent } from '../../../../infra/clickhouse/reads.ts';
import { Unserved } from '../../../../infra/errors.ts';
import type { PlaceLimits } from '../../../../infra/places.ts';

interface Statement {
  readonly name: string;
  readonly sent: Sent;
  answer(): void;
  fail(error: Error): void;
}

/** A node. Statements go on until the test ends them; those that are to be killed go on until it lets them. */
class Server {
  readonly running = new Map<string, Statement>();
  readonly kills: (() => void)[] = [];
  readonly reads: Reads;

  constructor({ limits, queueTimeoutMs = 60_000 }: { limits?: Partial<PlaceLimits>; queueTimeoutMs?: number } = {}) {
    const control = {
      query: async () => {
        await new Promise<void>(resolve => this.kills.push(resolve));
        return { json: async () => [{}] };
      },
    };
    const wide = { places: 1, perClient: 1, mostWaiting: 10, mostWaitingPerClient: 10, waitMs: queueTimeoutMs };
    const all = { ...wide, ...limits };
    this.reads = createReads(control as unknown as ClickHouseClient, {
      kinds: { counts: all, raw: all, jobs: all, operations: all },
      rawThreads: 1,
    });
  }

  read(name: string, kind: ReadKind = 'counts'): Promise<string> {
    return this.reads.run(kind, sent => {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const end = (settle: () => void) => {
        this.running.delete(name);
        settle();
      };
      const { abort_signal: signal } = sent;
      signal?.addEventListener('abort', () => end(() => reject(signal.reason)), { once: true });
      this.running.set(name, {
        ...{ name, sent },
        answer: () => end(() => resolve(name)),
        fail: error => end(() => reject(error)),
      });
      return promise;
    });
  }

  async answer(name: string): Promise<void> {
    this.running.get(name)?.answer();
    await settled();
  }

  get names(): string[] {
    return [...this.running.keys()].sort();
  }
}

/** Whatever waits for nothing but others of its kind has done so. */
const settled = async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve));
};

function requestOf(client: string, isRaw = true) {
  const [end, answered] = [new AbortController(), new AbortController()];
  const plain: Asker = { client, isOperation: false, signal: end.signal };
  const asker: Asker = isRaw ? { ...plain, ticket: answered.signal } : plain;
  const begin = (work: () => Promise<unknown>) => {
    const done = askedBy(asker, work).then(
      () => 'answered',
      (error: unknown) => (error instanceof Unserved ? error.why : 'failed'),
    );
    return { done };
  };
  return {
    asker,
    begin,
    answered: async () => {
      answered.abort();
      await settled();
    },
    leave: async () => {
      end.abort(new Unserved('gone', 'gone'));
      answered.abort();
      await settled();
    },
  };
}

const numberOf = async (metric: typeof readsRunning | typeof readsRefused, labels: object): Promise<number> => {
  const { values } = await metric.get();
  return values.find(value => JSON.stringify(value.labels) === JSON.stringify(labels))?.value ?? 0;
};
const raw = async () => [await numberOf(readsRunning, { kind: 'raw' }), await numberOf(readsWaiting, { kind: 'raw' })];

let server: Server;
beforeEach(() => {
  server = new Server();
  // What a test before has left would be found here.
  readsRunning.reset();
  readsWaiting.reset();
});

describe('a request for raw clicks', () => {
  it('has one place, for all that is read for it, and none of counts', async () => {
    const [a, b, other] = [requestOf('a'), requestOf('b'), requestOf('c', false)];
    a.begin(() => Promise.all([server.read('progress'), server.read('recounts'), server.read('clicks', 'raw')]));
    b.begin(() => Promise.all([server.read('progress of b'), server.read('recounts of b')]));
    await settled();
    expect(server.names).toEqual(['clicks', 'progress', 'recounts']);
    // One stands in line, however many statements it has.
    expect(await raw()).toEqual([1, 1]);
    other.begin(() => server.read('count'));
    await settled();
    expect(server.names).toContain('count');

    await server.answer('progress');
    await server.answer('recounts');
    await server.answer('clicks');
    await server.answer('count');
    // Between two statements, too, the place is its own.
    expect([server.names, await raw()]).toEqual([[], [1, 1]]);
    await a.answered();
    expect(server.names).toEqual(['progress of b', 'recounts of b']);
    await b.leave();
    for (const kill of server.kills) kill();
    await settled();
    expect(await raw()).toEqual([0, 0]);
  });

  it('stands back in the server with all that it reads', async () => {
    const [a, other] = [requestOf('a'), requestOf('b', false)];
    a.begin(() => Promise.all([server.read('progress'), server.read('clicks', 'raw')]));
    other.begin(() => server.read('count'));
    await settled();
    const standing = (name: string) => {
      const {
        priority,
        max_threads,
        os_thread_priority: nice,
      } = server.running.get(name)?.sent.clickhouse_settings ?? {};
      return { priority, max_threads, nice };
    };
    const behind = { priority: '2', max_threads: 1, nice: '10' };
    expect(standing('progress')).toEqual(behind);
    expect(standing('clicks')).toEqual(behind);
    expect(standing('count')).toEqual({ priority: '1', max_threads: undefined, nice: undefined });
    for (const name of ['progress', 'clicks', 'count']) await server.answer(name);
    await a.answered();
  });

  it('reads raw one after the other, and a few others beside', async () => {
    const a = requestOf('a');
    a.begin(() =>
      Promise.all([
        ...[1, 2].map(i => server.read(`raw ${i}`, 'raw')),
        ...[1, 2, 3, 4, 5].map(i => server.read(`other ${i}`)),
      ]),
    );
    await settled();
    expect(server.names).toEqual(['other 1', 'other 2', 'other 3', 'raw 1']);
    await server.answer('raw 1');
    expect(server.names).toEqual(['other 1', 'other 2', 'other 3', 'raw 2']);
    await server.answer('other 2');
    expect(server.names).toEqual(['other 1', 'other 3', 'other 4', 'raw 2']);
    for (const name of ['raw 2', 'other 1', 'other 3', 'other 4', 'other 5']) await server.answer(name);
    await a.answered();
    expect(await raw()).toEqual([0, 0]);
  });

  it('leaves its place when it is answered and the server is rid of all its statements, whichever is later', async () => {
    const [a, b] = [requestOf('a'), requestOf('b')];
    const of = a.begin(() => Promise.all([server.read('progress'), server.read('clicks', 'raw')]));
    b.begin(() => server.read('next', 'raw'));
    await settled();
    await a.leave();
    expect([await of.done, server.kills.length]).toEqual(['gone', 2]);
    expect(server.names).toEqual([]);
    server.kills[0]?.();
    await settled();
    expect(server.names).toEqual([]);
    server.kills[1]?.();
    await settled();
    expect(server.names).toEqual(['next']);
    await b.answered();
    // Answered without it, say, and it still goes on.
    expect(await raw()).toEqual([1, 0]);
    await server.answer('next');
    expect(await raw()).toEqual([0, 0]);
  });

  it('leaves its place when one of its statements fails, and it is answered', async () => {
    const [a, b] = [requestOf('a'), requestOf('b')];
    const of = a.begin(() => server.read('clicks', 'raw'));
    b.begin(() => server.read('next', 'raw'));
    await settled();
    // As the server says it: it is over there.
    server.running.get('clicks')?.fail(Object.assign(new Error('too long'), { code: '159', type: 'TIMEOUT_EXCEEDED' }));
    expect(await of.done).toBe('failed');
    await settled();
    expect(server.names).toEqual([]);
    await a.answered();
    expect(server.names).toEqual(['next']);
    await server.answer('next');
    await b.answered();
    expect(await raw()).toEqual([0, 0]);
  });

  it('is refused once, with all its statements', async () => {
    server = new Server({ queueTimeoutMs: 20 });
    const [a, b] = [requestOf('a'), requestOf('b')];
    a.begin(() => server.read('clicks', 'raw'));
    const before = await numberOf(readsRefused, { kind: 'raw', why: 'waited' });
    const of = b.begin(async () => {
      const both = await Promise.allSettled([server.read('one'), server.read('two', 'raw')]);
      expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      return await server.read('three');
    });
    expect(await of.done).toBe('waited');
    expect((await numberOf(readsRefused, { kind: 'raw', why: 'waited' })) - before).toBe(1);
    await server.answer('clicks');
    await a.answered();
    await b.answered();
    expect(await raw()).toEqual([0, 0]);
  });

  it('that goes while it stands in line has sent nothing, and leaves nothing', async () => {
    const [a, b, c] = [requestOf('a'), requestOf('b'), requestOf('c')];
    a.begin(() => server.read('clicks', 'raw'));
    const of = b.begin(() => Promise.all([server.read('progress'), server.read('recounts')]));
    await settled();
    await b.leave();
    expect([await of.done, await raw(), server.kills.length]).toEqual(['gone', [1, 0], 0]);
    await server.answer('clicks');
    await a.answered();
    expect([server.names, await raw()]).toEqual([[], [0, 0]]);
    // Nor has one that reads nothing.
    await c.begin(async () => undefined).done;
    await c.answered();
    expect(await raw()).toEqual([0, 0]);
  });

  it('has a place of its own in each node that it asks', async () => {
    const [first, second] = [new Server(), new Server()];
    const a = requestOf('a');
    a.begin(() => Promise.all([first.read('one', 'raw'), second.read('two', 'raw')]));
    await settled();
    expect(await raw()).toEqual([2, 0]);
    await first.answer('one');
    await second.answer('two');
    await a.answered();
    expect(await raw()).toEqual([0, 0]);
  });

  it('takes a place for each statement once its answer has begun: pages of an export, as they are taken', async () => {
    const [a, b] = [requestOf('a'), requestOf('b')];
    await a.answered();
    a.begin(() => server.read('page', 'raw'));
    b.begin(() => server.read('clicks', 'raw'));
    await settled();
    expect(server.names).toEqual(['page']);
    await server.answer('page');
    expect(server.names).toEqual(['clicks']);
    await server.answer('clicks');
    await b.answered();
    expect(await raw()).toEqual([0, 0]);
  });
});

describe('a request for counts', () => {
  it('waits for no raw place, also where what it needs was begun by one that does', async () => {
    const [a, b, other] = [requestOf('a'), requestOf('b'), requestOf('c', false)];
    a.begin(() => server.read('clicks', 'raw'));
    await settled();
    const one = askedBy(b.asker, () => shared(() => server.read('shared')));
    const of = b.begin(() => one.join());
    const counted = other.begin(() => one.join());
    await settled();
    expect(server.names).toEqual(['clicks', 'shared']);
    expect(server.running.get('shared')?.sent.clickhouse_settings.priority).toBe('1');
    await server.answer('shared');
    expect([await of.done, await counted.done, await raw()]).toEqual(['answered', 'answered', [1, 0]]);
    await server.answer('clicks');
    await a.answered();
  });

  it('that reads raw clicks all the same has a raw place for that', async () => {
    const [a, b] = [requestOf('a'), requestOf('b', false)];
    a.begin(() => server.read('clicks', 'raw'));
    b.begin(() => server.read('unannounced', 'raw'));
    await settled();
    expect([server.names, await raw()]).toEqual([['clicks'], [1, 1]]);
    await server.answer('clicks');
    await a.answered();
    expect(server.names).toEqual(['unannounced']);
    await server.answer('unannounced');
    expect(await raw()).toEqual([0, 0]);
  });
});
