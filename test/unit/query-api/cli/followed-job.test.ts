import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { replayCommand } from '../../../../query-api/cli/job-commands.ts';
import { ProblemError } from '../../../../query-api/client/client.ts';

const id = '01KCQ0Z0000000000000000000';
const job = {
  ...{ id, kind: 'replay', reason: 'replay', state: 'done', apply: false, error: null },
  ...{ from: '2026-01-01T00:00:00.000Z', to: '2026-01-01T00:05:00.000Z' },
  ...{ minutes_done: 5, minutes_total: 5, clicks_read: 0, cells_changed: 0 },
  ...{ created_at: '2026-01-02T00:00:00.000Z', updated_at: '2026-01-02T00:00:00.000Z' },
  diff: { cells: 0, before: 0, after: 0, invalid_before: 0, invalid_after: 0, rows: [], next_cursor: null },
};

let server: Server | undefined;
afterEach(async () => {
  vi.restoreAllMocks();
  await new Promise(resolve => server?.close(resolve));
});

/** A query API that takes the job, and stores it only after it was asked for `missing` times. */
async function queryApi(missing: number) {
  let asked = 0;
  server = createServer((request, response) => {
    const isStored = request.method === 'POST' || asked++ >= missing;
    response.writeHead(isStored ? (request.method === 'POST' ? 202 : 200) : 404, {
      'content-type': isStored ? 'application/json' : 'application/problem+json',
    });
    response.end(
      JSON.stringify(isStored ? job : { status: 404, code: 'not_found', title: 'Not Found', detail: 'none' }),
    );
  });
  await new Promise<void>(resolve => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function run(...args: readonly string[]): Promise<string> {
  let printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation(text => {
    printed += text;
    return true;
  });
  await replayCommand().parseAsync([...args, '--json'], { from: 'user' });
  return printed;
}

it('is waited for where it was started a moment ago and is not stored yet', async () => {
  const url = await queryApi(2);
  const printed = await run('--url', url, '--from', '2026-01-01T00:00Z', '--to', '2026-01-01T00:05Z');
  expect(JSON.parse(printed)).toMatchObject({ id, state: 'done' });
});

it('is not waited for where it is asked for by an id that nobody knows', async () => {
  const url = await queryApi(1);
  await expect(run('--url', url, '--job', id)).rejects.toBeInstanceOf(ProblemError);
});
