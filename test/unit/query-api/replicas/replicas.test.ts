/** Two replicas whose clients the test controls: which of them is read, and what happens when it fails. */
import { Readable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { askedBy, currentAsker } from '../../../../infra/asking.ts';
import { type ClickHouse, type Params, type ReadOptions, readingAs } from '../../../../infra/clickhouse/clickhouse.ts';
import { loadConfig, ProcessConfig } from '../../../../infra/config.ts';
import { Retryable, Unserved } from '../../../../infra/errors.ts';
import { createHttp, type Http } from '../../../../infra/http.ts';
import { failOver } from '../../../../query-api/http/failover.ts';
import type { NodePosition } from '../../../../query-api/log/counted-log.ts';
import { type ReplicaWatch, watchReplicas } from '../../../../query-api/replicas/replica-watch.ts';
import { type Replicas, replicasOf } from '../../../../query-api/replicas/replicas.ts';

const log = pino({ level: 'silent' });
const away = () => new Retryable('ClickHouse, query: connect ECONNREFUSED', { cause: new Error('ECONNREFUSED') });

/** A node that answers with its name. */
class Node {
  readonly name: string;
  position = 10;
  from = 0;
  /** How its reads fail. Undefined when it answers. */
  failure: (() => Promise<never>) | undefined;
  probeFails = false;
  incarnation: string;
  reads = 0;
  readonly options: (ReadOptions | undefined)[] = [];

  constructor(name: string) {
    this.name = name;
    this.incarnation = `of ${name}`;
  }

  get watched() {
    const read = async (_sql: string, _params?: Params, options?: ReadOptions) => {
      this.reads++;
      this.options.push(options);
      return this.failure ? await this.failure() : [{ name: this.name }];
    };
    const probe = async () => {
      if (this.probeFails) throw away();
      return [{ name: this.incarnation }];
    };
    const stream = async function* (_sql: string, _format: string, params?: Params, options?: ReadOptions) {
      await read('', params, options);
      yield Buffer.from('');
    };
    const clickhouse = { query: read, queryLines: read, stream } as unknown as ClickHouse;
    return { name: this.name, tcp: `${this.name}:9000`, clickhouse, probe: { query: probe } as unknown as ClickHouse };
  }

  get at(): NodePosition {
    return {
      ...{ node: this.name, group: 'g', topic: 'clicks', topicName: 'clicks', partition: 0, end: 10 },
      ...{ position: this.position, from: this.from },
    };
  }
}

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
});

async function open(a: Node, b: Node, kafka: () => Promise<readonly NodePosition[]> = async () => [a.at, b.at]) {
  const watch = watchReplicas({
    ...{ nodes: [a.watched, b.watched], positions: kafka, maxLagMs: 10_000, now: Date.now, log, everyMs: 10 },
  });
  opened.push(watch);
  await watch.looked;
  return { watch, replicas: replicasOf([watch]) };
}

const nameRead = async (replicas: Replicas) => {
  return await replicas.reading(async () => (await replicas.clickhouse.query<{ name: string }>('SELECT'))[0]?.name);
};
const until = async (watch: ReplicaWatch, node: string, state: string) => {
  const isSo = () => watch.reports().some(report => report.node === node && report.state === state);
  while (!isSo()) await new Promise(resolve => setTimeout(resolve, 5));
};

describe('the replica that is read', () => {
  it('is the first of the topology, and stays the same while it may be read', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    const { watch, replicas } = await open(a, b);
    expect(await nameRead(replicas)).toBe('a');
    a.probeFails = true;
    await until(watch, 'a', 'away');
    expect(await nameRead(replicas)).toBe('b');
    a.probeFails = false;
    await until(watch, 'a', 'ready');
    expect(await nameRead(replicas)).toBe('b');
  });

  it('is never behind, even if the replica that is ahead does not answer', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    a.position = 4;
    const { watch, replicas } = await open(a, b);
    expect(await nameRead(replicas)).toBe('b');
    b.probeFails = true;
    await until(watch, 'b', 'away');
    await expect(nameRead(replicas)).rejects.toThrow(
      /no ClickHouse node can be read: a is further behind than is known, b is away/,
    );
    a.position = 10;
    await until(watch, 'a', 'ready');
    expect(await nameRead(replicas)).toBe('a');
  });

  it('is waited for until the next look, because it may just have come back', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    const { watch, replicas } = await open(a, b);
    watch.suspect('a', 'a reading has failed');
    watch.suspect('b', 'a reading has failed');
    expect(() => watch.choose()).toThrow(Retryable);
    expect(await nameRead(replicas)).toBe('a');
  });

  it('does not lack what the log no longer had when it was filled', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    a.from = 3;
    const { watch, replicas } = await open(a, b);
    expect(await nameRead(replicas)).toBe('b');
    expect(watch.reports().map(({ state }) => state)).toEqual(['incomplete', 'reading']);
  });

  it('may have tables that were copied from another node, wherever in the log it went on', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    a.from = 3;
    a.incarnation = b.incarnation;
    const { replicas } = await open(a, b);
    expect(await nameRead(replicas)).toBe('a');
  });

  it('is the same for everything in one reading, however long it takes and whatever node is preferred meanwhile', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    const { watch, replicas } = await open(a, b);
    const kept = replicas.each(() => ({ of: replicas.nodes()[0]?.name }));
    const read = await replicas.reading(async () => {
      const first = await replicas.clickhouse.query('SELECT');
      watch.suspect('a', 'another reading has failed');
      expect(await nameRead(replicas)).toBe('b');
      return [first, await replicas.clickhouse.query('SELECT'), kept().of];
    });
    expect(read).toEqual([[{ name: 'a' }], [{ name: 'a' }], 'a']);
  });

  it('is asked with the kind of each read', async () => {
    const a = new Node('a');
    const { replicas } = await open(a, new Node('b'));
    const raw = readingAs('raw', replicas.clickhouse);
    await replicas.reading(async () => {
      await raw.query('SELECT');
      await raw.queryLines('SELECT');
      for await (const _ of raw.stream('SELECT', 'CSV'));
    });
    expect(a.options).toEqual([{ kind: 'raw' }, { kind: 'raw' }, { kind: 'raw' }]);
  });

  it('accepts no rows, because the other replica would lack them', async () => {
    const { replicas } = await open(new Node('a'), new Node('b'));
    await expect(replicas.clickhouse.insert('ad_minute', '{}')).rejects.toThrow(/out of the log/);
    await expect(replicas.clickhouse.command('OPTIMIZE TABLE ad_minute')).rejects.toThrow(/out of the log/);
  });

  it('ends the work that reads it when it goes away, and the work goes on nowhere else', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    const { watch, replicas } = await open(a, b);
    a.failure = () => new Promise(() => undefined);
    const events: string[] = [];
    const reading = replicas.reading(async () => {
      for (const which of ['first', 'second']) {
        await replicas.clickhouse.query('SELECT').catch(() => events.push(`the ${which} read rejects`));
        await new Promise(resolve => setTimeout(resolve, 20));
      }
      throw new Retryable('the work ends');
    });
    reading.catch(() => events.push('told'));
    a.probeFails = true;
    await until(watch, 'a', 'away');
    await expect(reading).rejects.toThrow('the work ends');
    expect(events).toEqual(['the first read rejects', 'the second read rejects', 'told']);
  });

  it('is read for a client as long as the client waits, and for the process itself, which does not wait long', async () => {
    const { replicas } = await open(new Node('a'), new Node('b'));
    const end = new AbortController();
    const asker = { signal: end.signal, client: '192.0.2.1', isOperation: false };
    const gone = new Unserved('gone', 'the client has gone');
    await askedBy(asker, () =>
      replicas.reading(async () => {
        expect(currentAsker()).toMatchObject({ client: '192.0.2.1', isOperation: false });
        expect(currentAsker()?.isProcess).toBeUndefined();
        end.abort(gone);
        await expect(replicas.clickhouse.query('SELECT')).rejects.toBe(gone);
      }),
    );
    await replicas.reading(async () => expect(currentAsker()?.isProcess).toBe(true));
  });

  it('keeps the place of a raw read no longer than it is read', async () => {
    const { replicas } = await open(new Node('a'), new Node('b'));
    const answered = new AbortController();
    const asker = { signal: new AbortController().signal, client: 'a', isOperation: false, ticket: answered.signal };
    const ticketAt = async () => await replicas.reading(async () => currentAsker()?.ticket);
    const [first, second] = await askedBy(asker, async () => {
      const of = await ticketAt();
      expect(of?.aborted).toBe(true);
      const next = await replicas.reading(async () => {
        const own = currentAsker()?.ticket;
        expect(own?.aborted).toBe(false);
        answered.abort();
        expect(own?.aborted).toBe(true);
        return own;
      });
      return [of, next];
    });
    expect(second).not.toBe(first);
    expect(await replicas.reading(async () => currentAsker()?.ticket)).toBeUndefined();
  });

  it('does not exist while the positions are not known', async () => {
    const { replicas } = await open(new Node('a'), new Node('b'), () => Promise.reject(new Error('no broker')));
    await expect(nameRead(replicas)).rejects.toThrow(Retryable);
  });
});

describe('a request', () => {
  let http: Http;
  let address: Promise<string>;
  afterEach(() => http.close());

  async function serve(a: Node, b: Node) {
    const { watch, replicas } = await open(a, b);
    http = await createHttp({
      openPages: ['/read', '/change', '/rows'],
      ...{ title: 't', description: 'd', log, bodyLimitBytes: 1_000, config: loadConfig(ProcessConfig, {}) },
      ...{ servesPages: false, readiness: {} },
    });
    await http.register(async scope => {
      failOver(scope, replicas);
      const read = async () => {
        const one = await replicas.clickhouse.query<{ name: string }>('SELECT 1');
        const two = await replicas.clickhouse.query<{ name: string }>('SELECT 2');
        return { read: [...one, ...two].map(({ name }) => name) };
      };
      scope.get('/read', read);
      scope.post('/change', read);
      const pages = async function* () {
        for (let page = 0; page < 20; page++) {
          yield ((await replicas.clickhouse.query<{ name: string }>('SELECT'))[0]?.name ?? '').repeat(1 << 20);
        }
      };
      scope.get('/rows', async (_request, reply) => reply.send(Readable.from(pages(), { objectMode: false })));
    });
    address = http.listen({ host: '127.0.0.1', port: 0 });
    return { watch, replicas };
  }
  const get = async (path: string) => await (await fetch(`${await address}${path}`)).text();

  it('is answered from another replica when the first fails midway, and never from both', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    await serve(a, b);
    expect(JSON.parse(await get('/read'))).toEqual({ read: ['a', 'a'] });
    a.failure = () => (a.reads % 2 === 0 ? Promise.reject(away()) : Promise.resolve([{ name: 'a' }] as never));
    expect(JSON.parse(await get('/read'))).toEqual({ read: ['b', 'b'] });
  });

  it('is answered from another replica as soon as a look finds that the first hangs', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    await serve(a, b);
    a.failure = () => new Promise(() => undefined);
    const answer = get('/read');
    await new Promise(resolve => setTimeout(resolve, 50));
    a.probeFails = true;
    expect(JSON.parse(await answer)).toEqual({ read: ['b', 'b'] });
  });

  it('that changes something is done only once', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    await serve(a, b);
    a.failure = () => Promise.reject(away());
    const { status } = await fetch(`${await address}/change`, { method: 'POST' });
    expect([status, b.reads]).toEqual([500, 0]);
  });

  it('that is too heavy for one replica is not tried on another', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    await serve(a, b);
    const cause = Object.assign(new Error('too long'), { type: 'TIMEOUT_EXCEEDED' });
    a.failure = () => Promise.reject(new Retryable('ClickHouse, query: too long', { cause }));
    await get('/read');
    expect(b.reads).toBe(0);
  });

  it.each(['waited', 'full', 'share', 'late', 'gone'] as const)(
    'that has no place here, or nobody who waits for it (%s), is not asked of another',
    async why => {
      const [a, b] = [new Node('a'), new Node('b')];
      const { replicas } = await serve(a, b);
      a.failure = () => Promise.reject(new Unserved(why, 'no place'));
      await get('/read');
      expect(b.reads).toBe(0);
      expect(replicas.nodes().map(({ name }) => name)).toEqual(['a']);
    },
  );

  it('gets all rows of a long answer from the replica it began with', async () => {
    const [a, b] = [new Node('a'), new Node('b')];
    const { watch } = await serve(a, b);
    const answer = await fetch(`${await address}/rows`);
    watch.suspect('a', 'another reading has failed');
    expect(new Set(await answer.text())).toEqual(new Set(['a']));
    expect(a.reads).toBe(20);
  });
});
