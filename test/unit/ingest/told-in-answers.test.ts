import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { buildIngestApp } from '../../../ingest/app.ts';
import type { Click } from '../../../ingest/click.ts';
import { maxFieldsTold } from '../../../ingest/click-notes.ts';
import { IngestConfig } from '../../../ingest/config.ts';
import { maxEventIdsTold } from '../../../ingest/made-event-ids.ts';
import { clicksOf } from '../../support/clicks.ts';

const now = Date.parse('2026-03-01T12:00:00Z');
const json = 'application/json';
const ndjson = 'application/x-ndjson';
const mark = Buffer.from([0xef, 0xbb, 0xbf]);
const click = { ad_id: 'a', event_id: 'e', clicked_at: now };
let http: Http | undefined;

afterEach(async () => {
  await http?.close();
});

async function setUp() {
  const appended: Click[] = [];
  const app = await buildIngestApp({
    config: loadConfig(IngestConfig, {}),
    clickLog: { append: async lines => void appended.push(...clicksOf(lines)), refusal: () => undefined },
    log: pino({ level: 'silent' }),
    kafkaReady: async () => undefined,
    rulesKnown: () => undefined,
    now: () => now,
  });
  http = app;
  const post = async (body: unknown, type: string | undefined = json, { query = '', encoding = 'identity' } = {}) => {
    const isRaw = typeof body === 'string' || Buffer.isBuffer(body);
    const headers = { ...(type === undefined ? {} : { 'content-type': type }), 'content-encoding': encoding };
    const payload = isRaw ? body : JSON.stringify(body);
    const response = await app.inject({ method: 'POST', url: `/v1/clicks${query}`, headers, payload });
    return { status: response.statusCode, ...response.json() };
  };
  return { post, appended };
}

describe('event ids that were made', () => {
  const mine = { ad_id: 'a', event_id: 'mine', clicked_at: now };

  it('are told with the place of their click, in JSON and NDJSON, plain or parsed, between clicks that are refused', async () => {
    const { post, appended } = await setUp();
    const clicks = [{ adId: 'a' }, { ad_id: 'a' }, mine, {}, { ad_id: 'b', country: 'kr' }, { adId: 'a' }, mine];
    for (const [body, type] of [
      [clicks, json] as const,
      [clicks.map(each => JSON.stringify(each)).join('\n'), ndjson] as const,
    ]) {
      const { made_event_ids } = await post(body, type);
      const [first, , second] = appended.splice(0);
      expect(made_event_ids).toEqual([
        { index: 1, event_id: first?.eventId },
        { index: 4, event_id: second?.eventId },
      ]);
      expect([first?.adId, second?.adId, first?.clickId]).toEqual(['a', 'b', first?.eventId]);
    }
  });

  it('are none where each click has its own, be it as long as one that is made', async () => {
    const { post } = await setUp();
    const long = { ...mine, event_id: '01KCQ0Z0000000000000000000' };
    expect(await post([mine, long])).toMatchObject({ accepted: 2, made_event_ids: [] });
    expect(await post([mine, long].map(each => ` ${JSON.stringify(each)}`).join('\n'), ndjson)).toMatchObject({
      accepted: 2,
      made_event_ids: [],
    });
  });

  it('are told up to a number, however many there are', async () => {
    const { post } = await setUp();
    const { accepted, made_event_ids } = await post(Array(5_000).fill({ ad_id: 'a' }));
    expect([accepted, made_event_ids.length]).toEqual([5_000, maxEventIdsTold]);
    expect(made_event_ids.at(-1)).toEqual({
      index: maxEventIdsTold - 1,
      event_id: expect.stringMatching(/^[0-9A-Z]{26}$/),
    });
    expect(JSON.stringify(made_event_ids).length).toBeLessThan(7_000);
  });

  it('are told behind more refused clicks than are listed', async () => {
    const { post } = await setUp();
    const { rejected, made_event_ids } = await post([...Array(250).fill({}), { ad_id: 'a' }]);
    expect([rejected.length, made_event_ids]).toEqual([100, [{ index: 250, event_id: expect.any(String) }]]);
  });
});

describe('fields that no click has', () => {
  it('are named once for the request, in JSON and NDJSON, of clicks that are refused too', async () => {
    const { post } = await setUp();
    const clicks = [{ ...click, campaign: 'c', cost: 1 }, { ...click, cost: 2 }, { adId: 'a' }, click];
    const told = { accepted: 3, rejected_total: 1, ignored_fields: ['campaign', 'cost', 'adId'], warnings: [] };
    expect(await post(clicks)).toMatchObject(told);
    expect(await post(clicks.map(each => JSON.stringify(each)).join('\n'), ndjson)).toMatchObject(told);
    expect(await post({ ...click, click_id: 'mine' })).toMatchObject({ ignored_fields: ['click_id'] });
    expect(await post(click)).toMatchObject({ accepted: 1, ignored_fields: [] });
  });

  it('are named where no click is valid', async () => {
    const { post } = await setUp();
    expect(await post({ adId: 'a' })).toMatchObject({ status: 400, code: 'no_valid_click', ignored_fields: ['adId'] });
  });

  it('are told up to a number, each name cut short', async () => {
    const { post } = await setUp();
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`f${i}`, i]));
    const { ignored_fields } = await post({ ...click, ['n'.repeat(30_000)]: 1, ...many });
    expect(ignored_fields).toHaveLength(maxFieldsTold);
    expect(JSON.stringify(ignored_fields).length).toBeLessThan(1_000);
  });

  it('are refused with strict=true, and what would be left out, by each click alone', async () => {
    const { post, appended } = await setUp();
    const query = '?strict=true';
    const answer = await post([click, { ...click, cost: 1 }, { ...click, ip: '1.2.3.4:5' }], json, { query });
    expect(answer).toMatchObject({
      accepted: 1,
      rejected: [
        { index: 1, code: 'unknown_field', message: expect.stringMatching(/^"cost" is not a field of a click/) },
        { index: 2, code: 'invalid_field', message: expect.stringMatching(/^ip is "1\.2\.3\.4:5", but must be/) },
      ],
      warnings: [],
    });
    expect(appended).toHaveLength(1);
    const lenient = await post({ ...click, cost: 1 }, json, { query: '?strict=false' });
    expect(lenient).toMatchObject({ accepted: 1, ignored_fields: ['cost'] });
  });

  it('are told of parameters too', async () => {
    const { post } = await setUp();
    expect(await post(click, json, { query: '?stritc=true' })).toMatchObject({ ignored_fields: ['?stritc'] });
    expect(await post(click, json, { query: '?strict=true&b=1' })).toMatchObject({ code: 'invalid_parameter' });
    const wrong = await post(click, json, { query: '?strict=yes' });
    expect(wrong).toMatchObject({ status: 400, detail: 'strict is "yes", but must be true or false' });
  });
});

describe('a field that breaks a rule and is not what a click is', () => {
  it('is left out of the click, which counts, with one word for all clicks of the request', async () => {
    const { post, appended } = await setUp();
    const bad = { ip: '203.0.113.9:4711', country: 'QQ' };
    const clicks = [click, { ...click, ...bad }, { ...click, ip: 'x'.repeat(100_000).slice(0, 9_000) }];
    const answer = await post(clicks);
    expect(answer).toMatchObject({ accepted: 3, rejected: [] });
    expect(answer.warnings).toEqual([
      {
        field: 'country',
        clicks: 1,
        index: 1,
        message: expect.stringMatching(/^country is "QQ", but must be a country .*: the click counts, as of ZZ/),
      },
      {
        field: 'ip',
        clicks: 2,
        index: 1,
        message: 'ip is "203.0.113.9:4711", but must be an IPv4 or IPv6 address alone: the click counts without it',
      },
    ]);
    expect(appended.map(({ ip, country }) => [ip, country])).toEqual(Array(3).fill([undefined, 'ZZ']));
  });

  it('makes an answer of bounded size, whatever is posted', async () => {
    const { post } = await setUp();
    const odd = fc.oneof(fc.string({ maxLength: 2_000 }), fc.object(), fc.integer());
    const some = fc.array(fc.record({ ad_id: fc.constant('a'), ip: odd, country: odd, user_id: odd }), {
      minLength: 1,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(some, async clicks => {
        const { accepted, warnings, ignored_fields } = await post(clicks);
        expect(accepted).toBe(clicks.length);
        expect(JSON.stringify([warnings, ignored_fields]).length).toBeLessThan(2_000);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a body as programs write it', () => {
  it.each([
    ['JSON', json, [JSON.stringify(click)]],
    ['an array', json, [` ${JSON.stringify([click, { ...click, cost: 1 }])}`]],
    ['NDJSON', ndjson, [`${JSON.stringify(click)}\n`, `${JSON.stringify(click)}\n`]],
    ['NDJSON of clicks that are not plain', ndjson, [`${JSON.stringify({ ...click, user_id: 'é' })}\n`, '\n']],
  ])('may begin with a byte order mark: %s, also in gzip, and files put together', async (_what, type, files) => {
    const { post, appended } = await setUp();
    const plain = await post(Buffer.from(files.join('')), type);
    const marked = Buffer.concat(files.flatMap(file => [mark, Buffer.from(file)]));
    for (const encoding of ['identity', 'gzip', 'x-gzip', 'X-GZIP']) {
      const body = encoding === 'identity' ? marked : gzipSync(marked);
      expect(await post(body, type, { encoding })).toEqual(plain);
    }
    expect(appended).toHaveLength(5 * plain.accepted);
  });

  it.each(['ndjson', 'x-ndjson', 'jsonl', 'x-jsonl', 'jsonlines', 'x-jsonlines'])(
    'is NDJSON under the name application/%s',
    async name => {
      const { post } = await setUp();
      const body = `${JSON.stringify(click)}\n{"ad_id":"b"}\n`;
      expect(await post(body, `application/${name}`)).toMatchObject({ status: 202, accepted: 2 });
      expect(await post(body, `application/${name}; charset=utf-8`)).toMatchObject({ status: 202, accepted: 2 });
    },
  );

  it.each(['application/x-www-form-urlencoded', 'application/xml', 'application/jsonlx'])(
    'is refused as %s, with what it may be',
    async type => {
      const { post } = await setUp();
      const rule = 'must be application/json, or application/x-ndjson with one click per line';
      const detail = `content-type is "${type}", but ${rule}`;
      expect(await post('ad_id=a', type)).toMatchObject({ status: 415, code: 'unsupported_media_type', detail });
    },
  );

  it('is refused in another encoding, with what it may be', async () => {
    const { post } = await setUp();
    const detail = 'content-encoding is "br", but must be gzip or identity';
    expect(await post(click, json, { encoding: 'br' })).toMatchObject({ status: 415, detail });
  });
});
