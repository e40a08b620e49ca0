import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';

const path = join(import.meta.dirname, '../../../../query-api/dashboard/api.js');
interface Api {
  get(path: string): Promise<unknown>;
  onUnauthorized(listener: () => unknown): void;
}
const { get, onUnauthorized }: Api = await import(path);

afterEach(() => {
  vi.unstubAllGlobals();
});

/** The query API answers so. */
function answering(status: number, body: object): void {
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify(body), { status })));
}

describe('what the dashboard says', () => {
  it('of a refusal is what the query API says', async () => {
    answering(503, { status: 503, code: 'unavailable', detail: 'the database cannot answer' });
    await expect(get('/v1/status')).rejects.toThrow('the database cannot answer');
  });
});

describe('an answer of 401', () => {
  it('is told to who follows the session, but for the answer to a wrong key', async () => {
    let told = 0;
    onUnauthorized(() => told++);
    answering(401, { status: 401, code: 'unauthorized', detail: 'API key x was revoked' });
    await expect(get('/v1/session')).rejects.toThrow('API key x was revoked');
    expect(told).toBe(0);
    await expect(get('/v1/status')).rejects.toThrow('API key x was revoked');
    expect(told).toBe(1);
    answering(403, { status: 403, code: 'forbidden', detail: 'needs scope admin' });
    await expect(get('/v1/keys')).rejects.toThrow('needs scope admin');
    expect(told).toBe(1);
  });
});
