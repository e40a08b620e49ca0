/**
 * Ingest, its document, readers of the log and the query API have one opinion of what a click is, and of how long a text
 * may be: what one takes, none of the others refuses.
 */
import fc from 'fast-check';
import { fastify } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Http } from '../../../infra/http.ts';
import { formatLine } from '../../../ingest/click.ts';
import { parseClick } from '../../../ingest/click-body.ts';
import { ClickBody } from '../../../ingest/click-schema.ts';
import { RecordReader } from '../../../ingest/record-reader.ts';
import { queryApi } from '../../support/documents.ts';

const receivedAt = Date.parse('2026-03-01T12:00:00.500Z');
const clickId = '01KABCDEFGHJKMNPQRSTVWXYZ0';
let http: Http;
/** As any reader of the document would check a click. */
let isInDocument: (click: unknown) => boolean;

beforeAll(async () => {
  http = await queryApi({ QUERY_RATE_LIMIT_PER_MINUTE: '0' });
  const checker = fastify({ ajv: { customOptions: { coerceTypes: false, removeAdditional: false } } });
  checker.get('/', async request => {
    isInDocument = request.compileValidationSchema(ClickBody) as typeof isInDocument;
    return 'compiled';
  });
  await checker.inject('/');
  await checker.close();
});
afterAll(() => http.close());

/** Of characters that have one, two, three and four bytes, and of those that are several code points. */
const unit = fc.constantFrom('a', 'é', '한', '\u{1f600}', '\u{1f468}\u200d\u{1f469}', 'e\u0301', '\u{1f1f0}\u{1f1f7}');
const long = fc
  .tuple(fc.array(unit, { minLength: 40, maxLength: 150 }), fc.nat(131))
  .map(([units, length]) => [...units.join('')].slice(0, length).join(''));

describe('a text of any length', () => {
  it('is taken by all, or by none of them', async () => {
    await fc.assert(
      fc.asyncProperty(long, async text => {
        const length = [...text].length;
        const isShort = length >= 1 && length <= 128;
        const verdict = parseClick({ ad_id: 'a', event_id: text, clicked_at: receivedAt }, receivedAt, clickId);
        expect(verdict.ok).toBe(isShort || text === '');
        expect(isInDocument({ ad_id: 'a', event_id: text })).toBe(verdict.ok);
        const user = parseClick({ ad_id: 'a', user_id: text }, receivedAt, clickId);
        expect(user.ok && user.click.userId === text).toBe(isShort);
        if (text === '') return;

        const path = encodeURIComponent(text);
        const isRefused = async (url: string) => (await http.inject(url)).statusCode === 400;
        expect(await isRefused(`/v1/clicks/${path}`)).toBe(!isShort);
        expect(await isRefused(`/v1/ads/a/aggregated_count?user_id=${path}`)).toBe(!isShort);
        const stored = { method: 'PUT', url: '/v1/filters/f', payload: { user_ids: { in: [text] } } } as const;
        expect((await http.inject(stored)).statusCode === 400).toBe(!isShort);
      }),
      { numRuns: 150, endOnFailure: true },
    );
  });
});

describe('a click', () => {
  const text = fc.oneof(long, fc.string({ unit: 'binary', maxLength: 8 }), fc.constantFrom('', '.', '..'));
  const anything = fc.oneof(text, fc.integer(), fc.double(), fc.constantFrom(null, true, {}, []));
  const often = (good: fc.Arbitrary<unknown>) => fc.oneof({ weight: 5, arbitrary: good }, anything);
  const clicks = fc.record(
    {
      ad_id: often(fc.stringMatching(/^[A-Za-z0-9._:-]{1,4}$/)),
      event_id: often(text),
      clicked_at: often(fc.constantFrom(receivedAt, new Date(receivedAt).toISOString(), null)),
      country: often(fc.constantFrom('KR', 'uk', 'T1', 'QQ')),
      user_id: often(text),
      ip: often(fc.oneof(fc.ipV4(), fc.ipV6())),
      campaign: anything,
    },
    { requiredKeys: ['ad_id'] },
  );

  it('that ingest takes is one by its document, and is read from the log as it was taken', () => {
    let taken = 0;
    fc.assert(
      fc.property(clicks, posted => {
        const verdict = parseClick(posted, receivedAt, clickId);
        if (!verdict.ok) return;
        taken++;
        expect(isInDocument(posted)).toBe(true);
        const reader = new RecordReader(0);
        reader.open(7, receivedAt, Buffer.from(formatLine(verdict.click)));
        expect([reader.next(), reader.ok, reader.problem]).toEqual([true, true, '']);
        const { bytes, eventIdStart, eventIdEnd } = reader;
        expect(Buffer.from(bytes).toString('utf8', eventIdStart, eventIdEnd)).toBe(
          JSON.stringify(verdict.click.eventId).slice(1, -1) === verdict.click.eventId || reader.parsed
            ? verdict.click.eventId
            : '',
        );
      }),
      { numRuns: 3_000, endOnFailure: true },
    );
    expect(taken).toBeGreaterThan(500);
  });

  it('that its document has for one is taken, but for what the document says in words', () => {
    fc.assert(
      fc.property(clicks, posted => {
        if (!isInDocument(posted)) return;
        const verdict = parseClick(posted, receivedAt, clickId);
        if (verdict.ok) return;
        const { event_id: id, clicked_at: at } = posted;
        const isNoText = typeof id === 'string' && (/[\u0000-\u001f\u007f]|^\.{1,2}$/.test(id) || !id.isWellFormed());
        const isNoTime = (at ?? '') === '' && (id ?? '') !== '';
        const isOtherTime =
          ['too_old', 'too_far_ahead'].includes(verdict.code) || verdict.message.startsWith('clicked_at');
        expect(isNoText || isNoTime || isOtherTime, verdict.message).toBe(true);
      }),
      { numRuns: 3_000, endOnFailure: true },
    );
  });
});
