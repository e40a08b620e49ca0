import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Progress } from '../../../../aggregator/ad-minute.ts';
import { loadConfig } from '../../../../infra/config.ts';
import { listen } from '../../../../infra/http.ts';
import { closeHttp } from '../../../../infra/http-drain.ts';
import { release } from '../../../../infra/release.ts';
import { buildQueryApi } from '../../../../query-api/app.ts';
import { QueryApiConfig } from '../../../../query-api/config.ts';
import { clickHouseThatAnswers } from '../../../support/clickhouse-that-answers.ts';
import { packed, packedClient } from '../../../support/client-package.ts';

const root = join(import.meta.dirname, '../../../..');
/** Another program in a folder outside the repository, with the package installed from its tarball. */
const outside = mkdtempSync(join(tmpdir(), 'client-user-'));
const installed = join(outside, 'node_modules/ad-click-aggregator-client');

beforeAll(() => {
  const tarballs = join(outside, 'tarballs');
  mkdirSync(tarballs);
  const packages = [packedClient(tarballs), packed(join(root, 'node_modules/eventsource-parser'), tarballs)];
  writeFileSync(join(outside, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }));
  execFileSync('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', ...packages], {
    cwd: outside,
  });
});
afterAll(() => rmSync(outside, { recursive: true }));

function write(file: string, text: string): void {
  writeFileSync(join(outside, file), text);
}

/** The errors that the compiler reports, with only the types of the package, of the language and of the web. */
async function typeErrors(text: string): Promise<string> {
  write('user.ts', text);
  const options = ['--ignoreConfig', '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022'];
  const args = [...options, '--lib', 'es2022,dom,dom.asynciterable', '--skipLibCheck', 'false', 'user.ts'];
  const tsc = promisify(execFile)(join(root, 'node_modules/.bin/tsc'), args, { cwd: outside });
  return await tsc.then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  );
}

const asks = `
import { createClient, ProblemError, type AnswerOf } from 'ad-click-aggregator-client';
const client = createClient({ queryApiUrl: 'http://127.0.0.1:8081' });
`;

describe('the package of the client', () => {
  it('has the version of this repository, and lists what it needs', () => {
    const { version, dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    const whole = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(version).toBe(release);
    expect(dependencies).toEqual({ 'eventsource-parser': whole.dependencies['eventsource-parser'] });
  });

  it('has types that compile outside the repository', async () => {
    const good = `${asks}
      const { count, state }: AnswerOf<'getAggregatedCount'> = await client.ask('getAggregatedCount', { params: { ad_id: 'a' } });
      const text: string = state === 'final' ? count.toFixed() : '';
      for await (const message of client.listen()) if (message.kind === 'event') console.log(message.data.totals?.counted, text);
    `;
    expect(await typeErrors(good)).toBe('');
  });

  it('has types that refuse unknown inputs and unknown fields of answers', async () => {
    const errors = await typeErrors(`${asks}
      await client.ask('getAggregatedCounts', {});
      await client.ask('getAggregatedCount', { params: { ad: 'a' } });
      const { count } = await client.ask('getAggregatedCount', { params: { ad_id: 'a' } });
      count.toUpperCase();
    `);
    for (const why of [
      '\'"getAggregatedCounts"\'',
      "'ad' does not exist",
      "'toUpperCase' does not exist on type 'number'",
    ])
      expect(errors).toContain(why);
  });

  it('asks a query API from outside, and gives its answers and its refusals', async () => {
    const endOfMinute = Date.parse('2025-11-22T08:01:00Z');
    const http = await buildQueryApi({
      config: loadConfig(QueryApiConfig, {}),
      clickhouse: clickHouseThatAnswers(sql => {
        if (/FROM partition_progress/.test(sql)) return [progressUpTo(endOfMinute)];
        return /FROM ad_minute_by_ad/.test(sql) ? [{ count: 7, duplicates: 1, late: 0, invalid: 0 }] : [];
      }),
      log: pino({ level: 'silent' }),
      now: () => endOfMinute + 120_000,
      countedLog: { endOffsets: async () => new Map([[0, 40]]), sinkPositions: async () => [] },
    });
    const url = await listen(http, '127.0.0.1', 0);
    write(
      'user.js',
      `
      import { createClient, InvalidInput, ProblemError } from 'ad-click-aggregator-client';
      const client = createClient({ queryApiUrl: ${JSON.stringify(url)} });
      const ask = (ad_id, from, to) => client.ask('getAggregatedCount', { params: { ad_id }, query: { from, to } });
      const { count, state } = await ask('a', '2025-11-22T08:00:00Z', '2025-11-22T08:01:00Z');
      const refused = await ask('a', 'x', 'y').catch(error => error);
      const invalid = await ask('..').catch(error => error);
      console.log(JSON.stringify({
        count, state,
        refused: refused instanceof ProblemError && [refused.status, refused.field, refused.value],
        invalid: invalid instanceof InvalidInput && invalid.message,
      }));
    `,
    );
    const { stdout } = await promisify(execFile)(process.execPath, ['user.js'], { cwd: outside });
    await closeHttp(http);
    expect(JSON.parse(stdout)).toEqual({
      count: 7,
      state: 'final',
      refused: [400, 'from', 'x'],
      invalid: 'ad_id is "..", but must not be . or .., which no address can name',
    });
  });
});

function progressUpTo(final_until: number): Progress {
  const read = { position: 40, watermark: final_until + 75_000, appended_at: final_until + 90_000 };
  const counts = { received: 9, counted: 7, duplicates: 1, quarantined: 1, acknowledged: 9, missing: 0 };
  const ids = { invalid: 0, ids_per_ad_from: null };
  return { partition: 0, partitions: 1, final_until, ...read, ...counts, ...ids };
}
