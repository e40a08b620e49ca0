/** Two shards of two nodes whose clients the test controls: which are read together, and what happens when one fails. */
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { currentAsker } from '../../../../infra/asking.ts';
import type { ClickHouse } from '../../../../infra/clickhouse/clickhouse.ts';
import { NodeUnreached } from '../../../../infra/clickhouse/over-shards.ts';
import { loadConfig, ProcessConfig } from '../../../../infra/config.ts';
import { Retryable } from '../../../../infra/errors.ts';
import { createHttp } from '../../../../infra/http.ts';
import { failOver } from '../../../../query-api/http/failover.ts';
import { asUnavailable } from '../../../../query-api/http/unavailable.ts';
import { watchReplicas } from '../../../../query-api/replicas/replica-watch.ts';
import { replicasOf } from '../../../../query-api/replicas/replicas.ts';
import { NoReplica } from '../../../../query-api/replicas/shard.ts';

const log = pino({ level: 'silent' });
const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
});

/** Nodes a1, a2 and b1, b2. Looks at `down` fail, nodes of shard a get no answer from `unreached`, and we get none from `refusing`. */
async function open() {
  const down = new Set<string>();
  const unreached = new Set<string>();
  const refusing = new Set<string>();
  const strays = new Map<string, number>();
  const node = (name: string) => {
    const probe = async (text: string) => {
      if (down.has(name)) throw new Retryable(`${name} refuses`, { cause: new Error('ECONNREFUSED') });
      if (!text.includes('partition_progress')) return [{ name: `life of ${name}` }];
      return strays.has(name) ? [{ partition: strays.get(name) }] : [];
    };
    const query = async () => {
      if (refusing.has(name)) throw new Retryable(`${name} refuses`, { cause: new Error('ECONNREFUSED') });
      return [{ read: name }];
    };
    const clickhouse = { query } as unknown as ClickHouse;
    return { name, tcp: `${name}:9000`, clickhouse, probe: { query: probe } as unknown as ClickHouse };
  };
  const watches = ['a', 'b'].map((shard, i) => {
    const nodes = [node(`${shard}1`), node(`${shard}2`)];
    return watchReplicas({
      ...{ nodes, shard: { shard: i, of: 2 }, maxLagMs: 10_000, now: Date.now, log, everyMs: 10 },
      // Both shards, each at another place in the log.
      positions: async () =>
        ['a1', 'a2', 'b1', 'b2'].map(name => ({
          ...{ node: name, group: 'g', topic: 'job-results', topicName: 'job-results' as const, partition: 0 },
          ...{ position: name.startsWith('a') ? 5 : 9, from: name.startsWith('a') ? 4 : 0, end: 9 },
        })),
    });
  });
  opened.push(...watches);
  const [a, b] = watches as [(typeof watches)[0], (typeof watches)[0]];
  const replicas = replicasOf([a, b], {
    over(nodes) {
      const query = async () => {
        const gone = nodes.find(({ name }) => unreached.has(name));
        if (gone) throw new NodeUnreached(gone.name, `${gone.name} is not reached`, new Error('refused'));
        return [{ read: nodes.map(({ name }) => name).join('+') }];
      };
      return { query } as unknown as ClickHouse;
    },
    check: async () => undefined,
  });
  const read = () => replicas.reading(() => replicas.clickhouse.query<{ read: string }>('SELECT'));
  return { replicas, watches, down, unreached, refusing, strays, read };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(resolve => setTimeout(resolve, 5));
}

describe('of two shards', () => {
  it('one node of each is read, and stays the same', async () => {
    const { read, down, watches, replicas } = await open();
    expect(await read()).toEqual([{ read: 'a1+b1' }]);
    down.add('b1');
    await until(() => watches[1]?.reports()[0]?.state === 'away');
    expect(await read()).toEqual([{ read: 'a1+b2' }]);
    down.clear();
    await until(() => watches[1]?.reports()[0]?.state === 'ready');
    expect(await read()).toEqual([{ read: 'a1+b2' }]);
    expect([replicas.shards, replicas.nodes().map(({ name }) => name)]).toEqual([2, ['a1', 'b2']]);
  });

  it('a node that is away or behind does not affect the nodes of the other shard', async () => {
    const { watches } = await open();
    for (const watch of watches) {
      await watch.looked;
      expect(watch.reports().map(({ state, lagMs }) => [state, lagMs])).toEqual([
        ['ready', 0],
        ['ready', 0],
      ]);
    }
  });

  it('what is kept between readings is kept for each choice of nodes', async () => {
    const { replicas, down, watches } = await open();
    const kept = replicas.each(() => ({ of: replicas.nodes().map(({ name }) => name) }));
    const first = await replicas.reading(async () => kept());
    expect(await replicas.reading(async () => kept())).toBe(first);
    down.add('b1');
    await until(() => watches[1]?.reports()[0]?.state === 'away');
    expect((await replicas.reading(async () => kept())).of).toEqual(['a1', 'b2']);
  });

  it('the nodes end a work when one of them goes away', async () => {
    const { replicas, down, read } = await open();
    await read();
    await expect(
      replicas.reading(async () => {
        // A read does the same.
        const { signal } = currentAsker() ?? {};
        down.add('b1');
        await until(() => signal?.aborted === true);
        throw signal?.reason;
      }),
    ).rejects.toThrow('b1 is away: b1 refuses');
  });

  it('an answer is repeated with another node when one is not reached, and names the shard that has none left', async () => {
    const { replicas, unreached, refusing } = await open();
    const http = await createHttp({
      openPages: ['/read', '/each'],
      ...{ title: 't', description: 'd', log, bodyLimitBytes: 1_000, config: loadConfig(ProcessConfig, {}) },
      ...{ servesPages: false, readiness: {} },
    });
    opened.push({ [Symbol.asyncDispose]: () => http.close() });
    await http.register(async scope => {
      scope.setErrorHandler(error => {
        throw asUnavailable(error);
      });
      failOver(scope, replicas);
      scope.get('/read', async () => await replicas.clickhouse.query('SELECT'));
      scope.get('/each', async () => {
        return await Promise.all(replicas.nodes().map(({ clickhouse }) => clickhouse.query('SELECT')));
      });
    });
    refusing.add('b1');
    expect((await http.inject('/each')).json()).toEqual([[{ read: 'a1' }], [{ read: 'b2' }]]);
    refusing.clear();
    refusing.add('b2').add('a1');
    expect((await http.inject('/each')).json()).toEqual([[{ read: 'a2' }], [{ read: 'b1' }]]);
    unreached.add('b1');
    expect((await http.inject('/read')).json()).toEqual([{ read: 'a2+b2' }]);
    // Each node has failed once, and is there again. The client notices nothing.
    const recovering = new Map([
      ['b1', 1],
      ['b2', 1],
    ]);
    unreached.add('b2');
    const isThere = unreached.has.bind(unreached);
    unreached.has = name => {
      const left = recovering.get(name) ?? 0;
      recovering.set(name, left - 1);
      return left > 0;
    };
    expect((await http.inject('/read')).statusCode).toBe(200);
    unreached.has = isThere;
    const answer = await http.inject('/read');
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '2']);
    expect(answer.json()).toMatchObject({
      code: 'shard_unavailable',
      detail: 'shard 1 of 2 cannot be read at the moment: try again',
    });
  });

  it('a node that holds partitions of another shard is not read', async () => {
    const { replicas, strays, watches, read } = await open();
    await read();
    strays.set('b1', 4);
    await until(() => watches[1]?.reports()[0]?.state === 'away');
    expect(watches[1]?.reports()[0]?.why).toMatch(/^it holds partition 4, which belongs to shard 0: /);
    strays.set('b2', 4);
    await until(() => watches[1]?.reports()[1]?.state === 'away');
    const failure = await replicas.reading(async () => 1).catch(error => error);
    expect(failure).toBeInstanceOf(NoReplica);
    expect(failure.message).toMatch(/^no ClickHouse node of shard 1 can be read: b1 is away \(it holds partition 4/);
  });
});
