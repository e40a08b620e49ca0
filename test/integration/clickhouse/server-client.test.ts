/** The HTTP side of the client against a server that only records: what is sent, and what answers mean. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { type ClickHouse, openClickHouse } from '../../../infra/clickhouse.ts';
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
