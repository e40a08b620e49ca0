import { describe, expect, it, vi } from 'vitest';
import { type ClientOptions, createClient } from '../../../../query-api/client/client.ts';
import { ProblemError, Unreachable } from '../../../../query-api/client/problem-error.ts';

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers });
const problem = (status: number, extra: object = {}, headers: Record<string, string> = {}) =>
  json(status, { type: 'about:blank', title: '', status, code: 'c', detail: 'd', ...extra }, headers);
const status = () => json(200, { watermark: null });

/** A client whose requests get these answers in turn. The last answer is repeated. */
function setUp(answers: (() => Response | Error)[], options: ClientOptions = {}) {
  const asked: { url: string; init: RequestInit }[] = [];
  const client = createClient({
    queryApiUrl: 'http://api/base/',
    ingestUrl: 'http://ingest',
    fetch: async (url, init = {}) => {
      const answer = answers[Math.min(asked.length, answers.length - 1)]?.();
      asked.push({ url: String(url), init });
      if (answer instanceof Error) throw answer;
      return answer ?? json(500, {});
    },
    ...options,
  });
  return { client, asked };
}

const refused = () => new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }) });
const reset = () => new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }) });

describe('a call', () => {
  it('goes to the URL of the operation, with encoded values, and with one pair for each element of a list', async () => {
    const { client, asked } = setUp([() => json(200, {})]);
    await client.ask('getClick', { params: { event_id: 'a/b ?' } });
    await client.ask('getAllSeries', { query: { ad_id: ['a', 'b&c'], country: undefined, granularity: 'hour' } });
    expect(asked.map(({ url }) => url)).toEqual([
      'http://api/base/v1/clicks/a%2Fb%20%3F',
      'http://api/base/v1/ads/series?ad_id=a&ad_id=b%26c&granularity=hour',
    ]);
  });

  it('brings the API key to both services, in a header alone', async () => {
    const { client, asked } = setUp([() => json(200, {})], { apiKey: 'adclicks_x_y' });
    await client.ask('getStatus');
    await client.ask('postClicks', { body: [{ ad_id: 'a' }] });
    const headers = asked.map(({ init }) => new Headers(init.headers).get('authorization'));
    expect(headers).toEqual(['Bearer adclicks_x_y', 'Bearer adclicks_x_y']);
    expect(asked.map(({ url }) => url).join()).not.toContain('adclicks_');
  });

  it('does not show an API key that can be in no header', () => {
    expect(() => setUp([status], { apiKey: 'secret\n' })).toThrow(/^apiKey is no API key, but must be one, whole$/);
  });

  it('refuses an empty parameter, which would lead to another operation', async () => {
    const { client, asked } = setUp([status]);
    for (const id of ['.', '..'])
      await expect(client.ask('getClick', { params: { event_id: id } })).rejects.toThrow('which no address can name');
    await expect(client.ask('getClick', { params: { event_id: '' } })).rejects.toThrow(
      'event_id is not given, but must be',
    );
    expect(asked).toEqual([]);
  });

  it('fails with the problem: field, value and rule', async () => {
    const { client } = setUp([() => problem(400, { field: 'from', value: 'x', rule: 'must be a time' })]);
    const error = await client.ask('getStatus').catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ProblemError);
    expect(error).toMatchObject({ status: 400, code: 'c', field: 'from', value: 'x', rule: 'must be a time' });
  });

  it('fails with a problem also if a proxy in between answers without one', async () => {
    const { client } = setUp([() => new Response('<h1>Bad gateway</h1>', { status: 502 })]);
    await expect(client.ask('getStatus')).rejects.toMatchObject({ status: 502, code: 'http_error' });
  });

  it('is repeated after 503, 429 and a lost connection, as often as allowed', async () => {
    const { client, asked } = setUp([() => problem(503), () => problem(429), reset, status]);
    expect(await client.ask('getStatus')).toEqual({ watermark: null });
    expect(asked).toHaveLength(4);
    const stubborn = setUp([() => problem(503)], { maxTries: 3 });
    await expect(stubborn.client.ask('getStatus')).rejects.toMatchObject({ status: 503 });
    expect(stubborn.asked).toHaveLength(3);
  });

  it('is not repeated sooner than Retry-After says, and not at all if that is too long', async () => {
    const { client, asked } = setUp([() => problem(503, {}, { 'retry-after': '3600' }), status]);
    await expect(client.ask('getStatus')).rejects.toMatchObject({ retryAfterMs: 3_600_000 });
    expect(asked).toHaveLength(1);
    const short = setUp([() => problem(503, {}, { 'retry-after': '1' }), status]);
    const startedMs = performance.now();
    await short.client.ask('getStatus');
    expect(performance.now() - startedMs).toBeGreaterThan(990);
  });

  it.each([400, 404, 409, 500])('is not repeated after %i', async code => {
    const { client, asked } = setUp([() => problem(code), status]);
    await expect(client.ask('getStatus')).rejects.toMatchObject({ status: code });
    expect(asked).toHaveLength(1);
  });

  it('is not repeated if that could do something twice', async () => {
    const range = { from: 0, to: 60_000 };
    const { client, asked } = setUp([() => problem(503), () => json(202, {})]);
    await expect(client.ask('startReplay', { body: range })).rejects.toMatchObject({ status: 503 });
    await client.ask('startReplay', { body: range });
    expect(asked).toHaveLength(2);
  });

  it('posts clicks again only if each has the event_id that makes it count once', async () => {
    const verdicts = () => json(202, { accepted: 1, rejected: [], rejected_total: 0 });
    const click = { ad_id: 'a', event_id: 'e', clicked_at: 1 };
    const { client, asked } = setUp([() => problem(503), verdicts]);
    expect(await client.ask('postClicks', { body: [click] })).toEqual({ accepted: 1, rejected: [], rejected_total: 0 });
    expect(asked).toHaveLength(2);
    const bare = setUp([() => problem(503), verdicts]);
    await expect(bare.client.ask('postClicks', { body: [click, { ad_id: 'a' }] })).rejects.toThrow(ProblemError);
    expect(bare.asked).toHaveLength(1);
  });

  it('fails at once if nothing listens, and names the address', async () => {
    const { client, asked } = setUp([refused]);
    const error = await client.ask('getStatus').catch((error: unknown) => error);
    expect(error).toBeInstanceOf(Unreachable);
    expect(error).toMatchObject({ message: 'http://api does not answer (ECONNREFUSED)' });
    expect(asked).toHaveLength(1);
  });

  it('ends at its time limit, or when the signal of the caller ends it, with the reason of the signal', async () => {
    const hanging: typeof fetch = (_url, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
      });
    const slow = createClient({ fetch: hanging, timeoutMs: 5, maxTries: 1 });
    await expect(slow.ask('getStatus')).rejects.toThrow('http://127.0.0.1:8081 did not answer in time');
    const stop = new AbortController();
    const asked = createClient({ fetch: hanging }).ask('getStatus', {}, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
  });
});

describe('a stream of lines', () => {
  it('that cannot begin leaves no timer behind, which would keep the program from ending', async () => {
    vi.useFakeTimers();
    try {
      const { client } = setUp([refused]);
      await expect(client.lines('exportQuarantine').next()).rejects.toThrow('ECONNREFUSED');
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('listening', () => {
  const stream = (text: string) => () => new Response(text);
  const event = (id: string) => `id: ${id}\ndata: {"lag_records":${id}}\n\n`;

  it('continues after a break with the events that were missed', async () => {
    const { client, asked } = setUp([stream(`retry: 1\n\n${event('1')}: alive\n\n${event('2')}`), stream(event('3'))]);
    const seen: unknown[] = [];
    for await (const message of client.listen()) {
      seen.push(message);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(['1', '2', '3'].map(id => ({ kind: 'event', id, data: { lag_records: Number(id) } })));
    expect(asked.map(({ init }) => (init.headers as Record<string, string>)['last-event-id'])).toEqual([
      undefined,
      '2',
    ]);
  });

  it('connects again with the last id after an event that announces the end, and skips unknown events', async () => {
    const closing = 'event: closing\ndata: {"reason":"stopping"}\n\nevent: of-later\ndata: {}\n\n';
    const { client, asked } = setUp([stream(event('1') + closing), stream(event('2'))]);
    const listening = client.listen();
    expect((await listening.next()).value).toMatchObject({ kind: 'event', id: '1' });
    expect((await listening.next()).value).toMatchObject({ kind: 'event', id: '2' });
    expect(asked).toHaveLength(2);
  });

  it('says that events were lost, and that the store does not answer', async () => {
    const { client } = setUp([
      stream('event: reset\ndata: {"reason":"unknown_id"}\n\nevent: unavailable\ndata: {"detail":"away"}\n\n'),
    ]);
    const listening = client.listen();
    expect((await listening.next()).value).toEqual({ kind: 'reset' });
    expect((await listening.next()).value).toEqual({ kind: 'unavailable', detail: 'away' });
  });

  it('fails at once if nothing listens, and after a break if it cannot connect again', async () => {
    await expect(setUp([refused]).client.listen().next()).rejects.toThrow('ECONNREFUSED');
    const { client, asked } = setUp([stream(event('1')), refused], { maxTries: 2 });
    const listening = client.listen();
    await listening.next();
    await expect(listening.next()).rejects.toThrow('ECONNREFUSED');
    expect(asked).toHaveLength(2);
  });

  it('ends without an error when the caller ends it', async () => {
    const stop = new AbortController();
    const { client } = setUp([stream(event('1'))]);
    const listening = client.listen({ signal: stop.signal });
    await listening.next();
    stop.abort();
    expect(await listening.next()).toEqual({ done: true, value: undefined });
  });
});
