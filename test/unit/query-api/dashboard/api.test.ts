import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';

const path = join(import.meta.dirname, '../../../../query-api/dashboard/api.js');
const { get }: { get(path: string): Promise<unknown> } = await import(path);

afterEach(() => {
  vi.unstubAllGlobals();
});

/** The query API answers so. */
function answering(status: number, body: object): void {
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify(body), { status })));
}

describe('what the dashboard says', () => {
  it('where keys are needed is one sentence for people', async () => {
    answering(401, { status: 401, code: 'unauthorized', detail: 'GET /v1/status needs an API key: send it as …' });
    await expect(get('/v1/status')).rejects.toThrow(
      'This query API answers only with an API key, and the dashboard cannot send one yet.',
    );
  });

  it('of another refusal is what the query API says', async () => {
    answering(503, { status: 503, code: 'unavailable', detail: 'the database cannot answer' });
    await expect(get('/v1/status')).rejects.toThrow('the database cannot answer');
  });
});
