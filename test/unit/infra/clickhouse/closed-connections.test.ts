import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { openClickHouse } from '../../../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../../../infra/config.ts';
import { Retryable } from '../../../../infra/errors.ts';

/** Answers a row, or closes the connection instead, as `closes` says of its n-th statement that reads. */
async function server(closes: (n: number) => boolean) {
  const reads: string[] = [];
  const http = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    let sql = '';
    for await (const piece of request) sql += piece;
    const isKill = sql.startsWith('KILL');
    if (!isKill) reads.push(sql);
    if (!isKill && closes(reads.length)) request.socket.destroy();
    else response.end(isKill ? '' : '{"one":1}\n');
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const clickhouse = openClickHouse(loadConfig(ClickHouseConfig, { CLICKHOUSE_URL: url }), { readers: 1 });
  return {
    reads,
    clickhouse,
    async [Symbol.asyncDispose]() {
      await clickhouse[Symbol.asyncDispose]();
      http.closeAllConnections();
      http.close();
    },
  };
}

describe('a connection that the server closes', () => {
  it('costs a read that was just sent into it a second way, and nothing else', async () => {
    await using told = await server(n => n === 2);
    expect(await told.clickhouse.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await told.clickhouse.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(told.reads).toHaveLength(3);
  });

  it('fails the read the second time, and leaves its place to others', async () => {
    await using told = await server(n => n <= 2);
    await expect(told.clickhouse.query('SELECT 1 AS one')).rejects.toThrow(Retryable);
    expect(told.reads).toHaveLength(2);
    expect(await told.clickhouse.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});
