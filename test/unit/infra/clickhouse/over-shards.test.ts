import { describe, expect, it } from 'vitest';
import type { ClickHouse } from '../../../../infra/clickhouse/clickhouse.ts';
import {
  checkReached,
  NodeUnreached,
  overShards,
  remoteAccess,
  type ShardNode,
} from '../../../../infra/clickhouse/over-shards.ts';
import { sharded, shardedTables } from '../../../../infra/clickhouse/sharded-tables.ts';
import { sql, statement } from '../../../../infra/clickhouse/sql.ts';
import { ClickHouseConfig, loadConfig } from '../../../../infra/config.ts';
import { ConfigError, Retryable, Unserved } from '../../../../infra/errors.ts';

const access = { database: 'db', user: 'me', password: String.raw`it's\ secret`, isTls: false };

/** Two nodes; `asked` has what was sent to the first. */
function world(fails?: () => Error, rows: readonly object[] = []) {
  const asked: string[] = [];
  const query = async (text: string) => {
    asked.push(text);
    if (fails) throw fails();
    return rows;
  };
  const never = () => {
    throw new Error('the second node is asked by the first alone');
  };
  const node = (name: string, read: unknown): ShardNode => ({
    ...{ name, tcp: `${name}:9000` },
    clickhouse: { query: read, queryLines: read } as unknown as ClickHouse,
  });
  const nodes = [node('a', query), node('b', never)] as const;
  return { asked, nodes, clickhouse: overShards(nodes, access) };
}

/** As infra/clickhouse/errors.ts translates what a server says. */
function said(type: string, message: string, isRetryable = true): Error {
  const cause = Object.assign(new Error(message), { type });
  const text = `ClickHouse, query: ${message}`;
  return isRetryable ? new Retryable(text, { cause }) : new Error(text, { cause });
}

describe('a statement over two shards', () => {
  it('reads the sharded tables of both nodes, as columns name them, and what each has whole of the one that is asked', async () => {
    const { asked, clickhouse } = world();
    const [text, params] = statement`SELECT ad_minute.clicks FROM ${sharded('ad_minute')} FINAL
      LEFT JOIN restatement ON 1 WHERE ad_id = ${'x'} SETTINGS max_threads=1`;
    await clickhouse.query(text, params);
    expect(asked).toEqual([
      `SELECT ad_minute.clicks FROM remote('a:9000,b:9000', 'db', 'ad_minute', 'me', 'it\\'s\\\\ secret') AS ad_minute FINAL
      LEFT JOIN restatement ON 1 WHERE ad_id = {p0:String} SETTINGS max_threads=1, prefer_global_in_and_join=1, skip_unavailable_shards=0`,
    ]);
  });

  it('is sent as it is where it reads no sharded table', async () => {
    const { asked, clickhouse } = world();
    await clickhouse.query('SELECT 1 FROM stored_filter FINAL SETTINGS max_threads=1');
    expect(asked).toEqual(['SELECT 1 FROM stored_filter FINAL SETTINGS max_threads=1']);
  });

  it.each(shardedTables)('is refused where it names %s by itself, which is one shard’s', async table => {
    const { asked, clickhouse } = world();
    const reads = () => clickhouse.query(`SELECT count() FROM ${sharded('ad_hour')}, x JOIN ${table} FINAL`);
    expect(reads).toThrow(`a statement names ${table} without "sharded"`);
    expect(asked).toEqual([]);
  });

  it('of one node has a comment, and nothing else, in that place', () => {
    expect(sql`FROM ${sharded('quarantine')} FINAL`.toString()).toBe('FROM quarantine/*sharded*/ FINAL');
  });
});

describe('a node that another does not reach', () => {
  it.each([
    ['NETWORK_ERROR', 'Connection refused (b:9000)', true],
    ['ALL_CONNECTION_TRIES_FAILED', 'All connection tries failed. Log: b:9000', true],
    ['ATTEMPT_TO_READ_AFTER_EOF', 'Attempt to read after eof: while receiving packet from 10.0.0.2:9000', false],
    ['UNKNOWN_TABLE', 'Received from b:9000. DB::Exception: Table db.ad_minute does not exist', true],
    ['AUTHENTICATION_FAILED', 'Received from b:9000. DB::Exception: me: Authentication failed', false],
  ])('is to blame, and may be tried again: %s', async (type, message, isRetryable) => {
    const { clickhouse } = world(() => said(type, message, isRetryable));
    const failure = await clickhouse.query('SELECT 1').catch(error => error);
    expect(failure).toBeInstanceOf(NodeUnreached);
    expect(failure.node).toBe('b');
    expect(failure.message).toContain('b cannot be reached at tcp=b:9000: ClickHouse, query:');
  });

  it.each([
    said('TIMEOUT_EXCEEDED', 'Received from b:9000. Timeout exceeded'),
    said('UNKNOWN_TABLE', 'Table db.restatement does not exist'),
    said('SYNTAX_ERROR', 'Syntax error', false),
    new Retryable('connect ECONNREFUSED a', { cause: new Error('ECONNREFUSED') }),
    new Unserved('waited', 'no turn'),
  ])('is not to blame for what the statement, or the node that is asked, has met: %s', async error => {
    const { clickhouse } = world(() => error);
    expect(await clickhouse.query('SELECT 1').catch(found => found)).toBe(error);
  });

  it('has no password in what is told, whatever the server quotes', async () => {
    const quoted = String.raw`Syntax error: failed at remote('a:9000,b:9000', 'db', 'x', 'me', 'it\'s\\ secret') FINALLY`;
    const { clickhouse } = world(() => said('SYNTAX_ERROR', quoted, false));
    const failure: Error = await clickhouse.query('SELECT 1').catch(error => error);
    for (const text of [failure.message, failure.stack, String(failure.cause), (failure.cause as Error).stack])
      expect(text).not.toContain('secret');
    expect(failure.message).toContain("'me', '[HIDDEN]') FINALLY");
  });

  it('is found before it is read: another server at its address is no shard', async () => {
    const same = world(undefined, [{ name: 'life of b' }]);
    await checkReached(same.nodes, access, name => `life of ${name}`);
    expect(same.asked[0]).toContain("FROM remote('b:9000', 'db', 'schema_migration', 'me',");
    const other = world(undefined, [{ name: 'life of a' }]);
    await expect(checkReached(other.nodes, access, name => `life of ${name}`)).rejects.toThrow(
      'a finds a server other than b at tcp=b:9000',
    );
    const away = world(() => new Retryable('connect ECONNREFUSED a', { cause: new Error('ECONNREFUSED') }));
    const failure = await checkReached(away.nodes, access, () => '').catch(error => error);
    expect([failure.constructor, failure.node]).toEqual([NodeUnreached, 'a']);
  });
});

describe('how nodes read each other', () => {
  const of = (CLICKHOUSE_URL: string) =>
    remoteAccess(loadConfig(ClickHouseConfig, { CLICKHOUSE_URL, CLICKHOUSE_USER: 'me', CLICKHOUSE_PASSWORD: 'pw' }));

  it('is the same for all, as one statement names it', () => {
    expect(of('http://a;http://b')).toEqual({ database: 'default', user: 'me', password: 'pw', isTls: false });
    const { password } = remoteAccess({ ...loadConfig(ClickHouseConfig, {}), CLICKHOUSE_PASSWORD: '50%41' });
    expect(password).toBe('50%41');
    expect(of('https://u:p%2F@a;https://u:p%2F@b')).toEqual({
      ...{ database: 'default', user: 'u', password: 'p/', isTls: true },
    });
    for (const [url, what] of [
      ['http://a;http://u:pw@b', 'user'],
      ['http://me:x@a;http://b', 'password'],
      ['https://a;http://b', 'protocol'],
    ] as const) {
      expect(() => of(url)).toThrow(ConfigError);
      expect(() => of(url)).toThrow(what);
    }
  });
});
