/** The HTTP side of the client against a server that only records: what is sent, and what answers mean. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { type ClickHouse, openClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../../infra/config.ts';
import { ConfigError, RefusedRows, Retryable } from '../../../infra/errors.ts';

interface Received {
  readonly url: URL;
  readonly body: string;
  readonly authorization: string | undefined;
}

let server: Server | undefined;
let clickhouse: ClickHouse | undefined;
afterEach(async () => {
  await clickhouse?.[Symbol.asyncDispose]();
  server?.closeAllConnections();
  await new Promise(resolve => (server ? server.close(resolve) : resolve(undefined)));
});

async function connectTo(
  answer: (request: Received, response: ServerResponse) => void,
  more: Readonly<Record<string, string>> = {},
): Promise<{ clickhouse: ClickHouse; received: Received[] }> {
  const received: Received[] = [];
  server = createServer(async (request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const url = new URL(request.url ?? '', 'http://server');
    const got = { url, body: Buffer.concat(chunks).toString(), authorization: request.headers.authorization };
    received.push(got);
    answer(got, response);
  });
  const port = await new Promise<number>(resolve => {
    server?.listen(0, '127.0.0.1', () => {
      const address = server?.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
  const env = {
    CLICKHOUSE_URL: `http://127.0.0.1:${port}`,
    CLICKHOUSE_USER: 'me',
    CLICKHOUSE_PASSWORD: 'pw',
    CLICKHOUSE_DATABASE: 'clicks',
    ...more,
  };
  clickhouse = openClickHouse(loadConfig(ClickHouseConfig, env), { readers: 2 });
  return { clickhouse, received };
}

const exception = (code: number, type: string) => (_request: Received, response: ServerResponse) => {
  response.writeHead(500, { 'x-clickhouse-exception-code': String(code) });
  response.end(`Code: ${code}. DB::Exception: Something about it. (${type}) (version 26.7.2.1)`);
};

describe('a statement to a server', () => {
  it('carries user, password and database, binds values outside the SQL, and beside it what a read may do and whose turn it is', async () => {
    const { clickhouse, received } = await connectTo((_request, response) => response.end('{"n":9007199254740991}\n'));
    const rows = await clickhouse.query('SELECT n FROM t WHERE a = {a:String} SETTINGS max_result_rows=1', {
      a: "x'y",
    });
    expect(rows).toEqual([{ n: Number.MAX_SAFE_INTEGER }]);
    expect(received[0]?.authorization).toBe(`Basic ${Buffer.from('me:pw').toString('base64')}`);
    expect(received[0]?.body).toBe(
      'SELECT n FROM t WHERE a = {a:String} SETTINGS max_result_rows=1 \nFORMAT JSONEachRow',
    );
    const { query_id: _, ...parameters } = Object.fromEntries(received[0]?.url.searchParams ?? []);
    expect(parameters).toEqual({
      ...{ database: 'clicks', param_a: String.raw`x\'y` },
      ...{ readonly: '2', cancel_http_readonly_queries_on_client_close: '1', priority: '1' },
      use_query_condition_cache: '0',
    });
  });

  it('that inserts has its settings in the SQL, and the rows as the body', async () => {
    const { clickhouse, received } = await connectTo((_request, response) => response.end());
    await clickhouse.insert('t', '{"a":1}\n\n{"a":2}\n');
    expect(received[0]?.url.searchParams.get('query')).toMatch(
      /^INSERT INTO t SETTINGS async_insert=0, insert_deduplicate=1, .* FORMAT JSONEachRow$/,
    );
    expect(received[0]?.body).toBe('{"a":1}\n{"a":2}\n');
  });

  it('may be an insert of 20 MB', async () => {
    const { clickhouse, received } = await connectTo((_request, response) => response.end());
    await clickhouse.insert('t', `${JSON.stringify({ a: 'x'.repeat(1_000) })}\n`.repeat(20_000));
    expect(received[0]?.body.length).toBeGreaterThan(20_000_000);
  });

  it('creates the database when the server does not have it yet, and is then sent again', async () => {
    let exists = false;
    const { clickhouse, received } = await connectTo((request, response) => {
      if (request.body.startsWith('CREATE DATABASE')) exists = true;
      if (!exists) return exception(81, 'UNKNOWN_DATABASE')(request, response);
      response.end();
    });
    await clickhouse.command('CREATE TABLE t');
    expect(received.map(({ url, body }) => [url.searchParams.get('database'), body.trim()])).toEqual([
      ['clicks', 'CREATE TABLE t'],
      [null, 'CREATE DATABASE IF NOT EXISTS clicks'],
      ['clicks', 'CREATE TABLE t'],
    ]);
  });
});

describe('a statement to a cluster that replicates itself', () => {
  const Replicated = { CLICKHOUSE_TABLE_ENGINE: 'Replicated', CLICKHOUSE_CLUSTER: 'main' };
  const Shared = { CLICKHOUSE_TABLE_ENGINE: 'Shared' };
  const settingsOf = ({ url }: Received) => {
    const about = ['query_id', 'query', 'database', 'default_format', 'priority', 'max_threads'];
    const all = [...url.searchParams].filter(([name]) => !about.includes(name) && !name.startsWith('param_'));
    return Object.fromEntries(all);
  };
  const insertSettingsIn = ({ url }: Received) => {
    const [, list = ''] = / SETTINGS (.*) FORMAT /.exec(url.searchParams.get('query') ?? '') ?? [];
    return Object.fromEntries(list.split(', ').map(setting => setting.split('=')));
  };
  const readOnly = {
    ...{ readonly: '2', cancel_http_readonly_queries_on_client_close: '1' },
    use_query_condition_cache: '0',
  };
  const byMajority = {
    ...{
      insert_quorum: "'auto'",
      insert_quorum_parallel: '0',
      insert_quorum_timeout: '45000',
      max_insert_threads: '1',
    },
  };
  const nothingDropped = { insert_deduplicate: '0', deduplicate_blocks_in_dependent_materialized_views: '0' };

  it.each([
    ['replicated tables', Replicated],
    ['the cloud service', Shared],
  ])('reads of %s only what has been acknowledged, whoever answers', async (_, engine) => {
    const { clickhouse, received } = await connectTo((_request, response) => response.end('{}'), engine);
    await clickhouse.query('SELECT 1');
    await clickhouse.queryLines('SELECT 1', {}, { kind: 'raw' });
    for await (const _piece of clickhouse.stream('SELECT 1', 'CSV'));
    expect(received).toHaveLength(3);
    for (const each of received) {
      expect(settingsOf(each)).toMatchObject({ ...readOnly, select_sequential_consistency: '1' });
    }
  });

  it('inserts into a majority of the replicas, one insert after the other, and drops no block that was there before', async () => {
    const { clickhouse, received } = await connectTo((_request, response) => response.end(), Replicated);
    await clickhouse.insert('t', '{}');
    expect(insertSettingsIn(received[0]!)).toMatchObject({ ...byMajority, ...nothingDropped, async_insert: '0' });
  });

  it('leaves the majority to the cloud service, whose inserts are all of that kind', async () => {
    const { clickhouse, received } = await connectTo((_request, response) => response.end(), Shared);
    await clickhouse.insert('t', '{}');
    expect(insertSettingsIn(received[0]!)).toMatchObject(nothingDropped);
    expect(Object.keys(insertSettingsIn(received[0]!)).filter(name => name.includes('quorum'))).toEqual([]);
  });

  it('that alters is over when all replicas have it; one that inserts what it reads, as an insert and a read', async () => {
    const { clickhouse, received } = await connectTo((_request, response) => response.end(), Replicated);
    await clickhouse.command('ALTER TABLE t ADD COLUMN a String');
    expect(settingsOf(received[0]!)).toEqual({
      ...byMajority,
      ...{ insert_quorum: 'auto', ...nothingDropped, select_sequential_consistency: '1' },
      ...{ alter_sync: '2', replication_wait_for_inactive_replica_timeout: '45' },
      ...{ distributed_ddl_task_timeout: '45', distributed_ddl_output_mode: 'throw' },
    });
  });

  it('is sent without any of that where tables are plain', async () => {
    const { clickhouse, received } = await connectTo((_request, response) => response.end('{}'));
    await clickhouse.command('ALTER TABLE t');
    await clickhouse.query('SELECT 1');
    expect(received.map(settingsOf)).toEqual([{}, readOnly]);
  });

  it('creates the database on every server', async () => {
    let exists = false;
    const { clickhouse, received } = await connectTo((request, response) => {
      if (request.body.startsWith('CREATE DATABASE')) exists = true;
      if (!exists) return exception(81, 'UNKNOWN_DATABASE')(request, response);
      response.end();
    }, Replicated);
    await clickhouse.command('CREATE TABLE t');
    expect(received[1]?.body.trim()).toBe("CREATE DATABASE IF NOT EXISTS clicks ON CLUSTER 'main'");
  });

  it.each([
    [289, 'REPLICA_IS_NOT_IN_QUORUM'],
    [517, 'CANNOT_ASSIGN_ALTER'],
  ])('that is answered with %i %s is worth trying again', async (code, type) => {
    const { clickhouse } = await connectTo(exception(code, type), Replicated);
    await expect(clickhouse.query('SELECT 1')).rejects.toBeInstanceOf(Retryable);
    await expect(clickhouse.command('ALTER TABLE t')).rejects.toBeInstanceOf(Retryable);
  });
});

describe('an answer', () => {
  it.each([
    [252, 'TOO_MANY_PARTS'],
    [241, 'MEMORY_LIMIT_EXCEEDED'],
    [159, 'TIMEOUT_EXCEEDED'],
    [242, 'TABLE_IS_READ_ONLY'],
    [999, 'KEEPER_EXCEPTION'],
  ])('%i %s to an insert means: again later', async (code, type) => {
    const { clickhouse } = await connectTo(exception(code, type));
    await expect(clickhouse.insert('t', '{}')).rejects.toBeInstanceOf(Retryable);
  });

  it.each([
    [27, 'CANNOT_PARSE_INPUT_ASSERTION_FAILED'],
    [117, 'INCORRECT_DATA'],
    [72, 'CANNOT_PARSE_NUMBER'],
  ])('%i %s to an insert means: not these rows', async (code, type) => {
    const { clickhouse } = await connectTo(exception(code, type));
    await expect(clickhouse.insert('t', '{}')).rejects.toBeInstanceOf(RefusedRows);
    await expect(clickhouse.command('ALTER TABLE t')).rejects.not.toBeInstanceOf(RefusedRows);
  });

  it('about a full disk names the disk, and is worth trying again', async () => {
    const { clickhouse } = await connectTo(exception(243, 'NOT_ENOUGH_SPACE'));
    const error = await clickhouse.insert('t', '{}').catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Retryable);
    expect(String(error)).toMatch(/no space left on ClickHouse's disk/);
  });

  it('that is a cut connection means: again later', async () => {
    const { clickhouse } = await connectTo((_request, response) => response.destroy());
    await expect(clickhouse.insert('t', '{}')).rejects.toBeInstanceOf(Retryable);
    await expect(clickhouse.query('SELECT 1')).rejects.toBeInstanceOf(Retryable);
    await expect(clickhouse.ping()).rejects.toBeInstanceOf(Retryable);
  });

  it('about a wrong password is a fault that trying again does not mend', async () => {
    const { clickhouse } = await connectTo(exception(516, 'AUTHENTICATION_FAILED'));
    await expect(clickhouse.query('SELECT 1')).rejects.not.toBeInstanceOf(Retryable);
  });
});

describe('a server', () => {
  it('whose address is no URL is a ConfigError', () => {
    const config = loadConfig(ClickHouseConfig, { CLICKHOUSE_URL: 'localhost' });
    expect(() => openClickHouse(config, { readers: 1 })).toThrow(ConfigError);
  });

  it('that is not there is noticed at the first statement, not before', async () => {
    const config = loadConfig(ClickHouseConfig, { CLICKHOUSE_URL: 'http://127.0.0.1:9' });
    await using absent = openClickHouse(config, { readers: 1 });
    await expect(absent.ping()).rejects.toBeInstanceOf(Retryable);
  });
});
