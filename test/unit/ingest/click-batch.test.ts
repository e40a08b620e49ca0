import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { atOnce } from '../../../infra/slices.ts';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { type ClickBatch, createClickParser } from '../../../ingest/click-batch.ts';
import { parseClick } from '../../../ingest/click-body.ts';
import { createClickIdWriter } from '../../../ingest/click-id.ts';
import { ClickLines } from '../../../ingest/click-lines.ts';
import { createPlainClicks } from '../../../ingest/plain-click.ts';

const receivedAt = Date.parse('2026-03-01T12:00:00.500Z');
const posting = { receivedAt, isStrict: false };
const clickId = 'C'.repeat(26);

/** Lines without what is by chance in them. */
function linesOf({ lines }: Pick<ClickBatch, 'lines'>): string[] {
  const all = Array.from({ length: lines.count }, (_, i) =>
    lines.bytes.toString('utf8', lines.startOf(i), lines.startOf(i + 1)),
  );
  return all.map(line => {
    const minted = line.slice(13, 39);
    expect(minted).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
    return line.replaceAll(minted, clickId);
  });
}

/** What the rules of `click-body.ts` make of one parsed click. */
function expected(json: unknown): string[] {
  const verdict = parseClick(json, receivedAt, clickId);
  return verdict.ok ? [`${formatLine(verdict.click)}\n`] : [];
}

/** The line the plain way, if it goes that way. */
function taken(text: string): { end: number; line: string; lines: ClickLines } {
  const lines = new ClickLines();
  const take = createPlainClicks(createClickIdWriter());
  const source = Buffer.from(text);
  const end = take(source, 0, source.length, receivedAt, lines);
  return { end, lines, line: linesOf({ lines }).join('') };
}

const plainText = fc.string({ unit: fc.constantFrom(..." aZ09_-.:@{}[],/'"), minLength: 1, maxLength: 12 });
const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.constantFrom(
    '',
    'x'.repeat(128),
    'x'.repeat(129),
    'tab\t',
    '\u007f',
    'é',
    '\\',
    '"',
    '\ud800',
    '203.0.113.7',
    '::1',
  ),
);
const anything = fc.oneof(oddText, fc.double(), fc.integer(), fc.constantFrom(null, true, {}, [], -0, 1e300));
const time = fc.oneof(
  fc.integer({ min: receivedAt - 8 * 86_400_000, max: receivedAt + 600_000 }),
  fc.constantFrom(
    '2026-03-01T12:00:00Z',
    '2026-03-01T14:00:00.1234+02:00',
    '2026-02-30T12:00:00Z',
    '1772366400500',
    '',
  ),
);
const given = fc.record(
  {
    ad_id: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom('ad_1', 'a.b:c-d', 'A'.repeat(128), '.', '..', '...') },
      anything,
    ),
    event_id: fc.oneof({ weight: 4, arbitrary: fc.oneof(plainText, fc.constantFrom('.', '..')) }, anything),
    clicked_at: fc.oneof({ weight: 4, arbitrary: time }, anything),
    country: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('KR', 'US', 'us', 'UK', 'QQ', 'T1', 'K', 'KRX') },
      anything,
    ),
    user_id: fc.oneof({ weight: 4, arbitrary: fc.oneof(plainText, fc.constantFrom('.', '..')) }, anything),
    ip: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('203.0.113.7', '2001:db8::1', 'fe80::1%eth0', '1.2.3') },
      anything,
    ),
    campaign: anything,
  },
  { requiredKeys: [] },
);
/** Fields in any order, and blanks where JSON allows them. */
const written = fc
  .tuple(given, fc.infiniteStream(fc.constantFrom('', '', '', ' ', '  ', '\t')), fc.infiniteStream(fc.nat()))
  .map(([click, blanks, order]) => {
    const blank = () => blanks.next().value ?? '';
    const fields = Object.entries(click).map(field => ({ field, at: order.next().value ?? 0 }));
    const parts = fields
      .sort((a, b) => a.at - b.at)
      .map(({ field: [name, value] }) => {
        return `${blank()}${JSON.stringify(name)}${blank()}:${blank()}${JSON.stringify(value) ?? 'null'}${blank()}`;
      });
    return `${blank()}{${parts.join(',')}}${blank()}`;
  });

describe('a click taken over as bytes', () => {
  it.each([
    [
      'all fields',
      '{"ad_id":"ad_1","event_id":"e","clicked_at":1772366400400,"country":"KR","user_id":"u","ip":"::1"}',
    ],
    ['no field but the ad', '{"ad_id":"ad_1"}'],
    ['a time as text', '{"event_id":"e","clicked_at":"2026-03-01T12:00:00.400Z","ad_id":"ad_1"}'],
    ['a time and no event id', '{"ad_id":"ad_1","clicked_at":1772366400400}'],
    ['blanks', '{ "ad_id" : "ad_1" , "country" : "KR" }'],
  ])('becomes the line it would have been: %s', (_, text) => {
    const { end, line } = taken(text);
    expect(end).toBe(text.length);
    expect([line]).toEqual(expected(JSON.parse(text)));
  });

  it.each([
    ['an escape', '{"ad_id":"ad_1","user_id":"\\u0041"}'],
    ['a letter beyond ASCII', '{"ad_id":"ad_1","user_id":"é"}'],
    ['a country that there is not', '{"ad_id":"ad_1","country":"QQ"}'],
    ['a country by its other code', '{"ad_id":"ad_1","country":"UK"}'],
    ['an ad that no address can name', '{"ad_id":".."}'],
    ['an event id that no address can name', '{"ad_id":"ad_1","clicked_at":1772366400400,"event_id":"."}'],
    ['a user whom no address can name', '{"ad_id":"ad_1","user_id":".."}'],
    ['a field twice', '{"ad_id":"ad_1","ad_id":"ad_2"}'],
    ['a field that is not known', '{"ad_id":"ad_1","ad_i":"x"}'],
    ['an id and no time', '{"ad_id":"ad_1","event_id":"e"}'],
    ['a time that is too old', '{"ad_id":"ad_1","clicked_at":1771761600499}'],
    ['a time that is no integer', '{"ad_id":"ad_1","clicked_at":1772366400400.5}'],
    ['a time with a leading zero', '{"ad_id":"ad_1","clicked_at":01772366400400}'],
    ['a click cut short', '{"ad_id":"ad_1"'],
    ['a comma too many', '{"ad_id":"ad_1",}'],
    ['nothing', ''],
  ])('is left to the parser where there is %s', (_, text) => {
    const { end, lines } = taken(text);
    expect([end, lines.count, lines.end]).toEqual([-1, 0, 0]);
  });

  it('tells routing what the line says', () => {
    const { lines } = taken('{"ad_id":"ad_1","event_id":"e-1","clicked_at":1772366400400}');
    const { adId, eventId, clickedAt } = lines.clickOf(0);
    expect([adId, eventId, clickedAt]).toEqual(['ad_1', 'e-1', 1_772_366_400_400]);
  });

  it('tells routing the same of a line that was parsed', () => {
    const lines = new ClickLines();
    const click: Click = { clickId, eventId: '"é\\', adId: 'ad_1', clickedAt: 7, receivedAt, country: 'KR' };
    for (let i = 0; i < 500; i++) lines.add(click);
    const { adId, eventId, clickedAt } = lines.clickOf(499);
    expect([adId, eventId, clickedAt]).toEqual(['ad_1', '"é\\', 7]);
  });
});

describe('a body', () => {
  const parser = createClickParser(1_000);

  it('comes to the same lines and verdicts as its clicks parsed one by one, as NDJSON and as an array', () => {
    const some = fc.array(written, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(some, texts => {
        const clicks = texts.map(text => JSON.parse(text) as unknown);
        const lines = clicks.flatMap(expected);
        const bad = clicks.flatMap((click, index) => (expected(click).length === 0 ? [index] : []));
        for (const batch of [
          () => atOnce(parser.ndjson(Buffer.from(texts.join('\r\n')), posting)),
          () => atOnce(parser.json(Buffer.from(` [${texts.join(',')}\n] `), posting)),
        ]) {
          const { lines: got, rejected } = batch();
          expect(linesOf({ lines: got })).toEqual(lines);
          expect(rejected.map(({ index }) => index)).toEqual(bad);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('is taken for what JSON.parse takes it for, whatever byte in it was changed', () => {
    const text = '[{"ad_id":"ad_1","event_id":"e","clicked_at":1772366400400}, {"ad_id":"b","ip":"1.2.3.4"}]';
    const change = fc.tuple(
      fc.nat(text.length - 1),
      fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('"{}[],: 0\\'))),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 2 }), changes => {
        const body = Buffer.from(text);
        for (const [at, byte] of changes) body[at] = byte;
        const json = parsed(body);
        if (json === undefined) {
          expect(() => atOnce(parser.json(body, posting))).toThrow('not JSON');
          return;
        }
        const clicks = Array.isArray(json) ? json : [json];
        expect(linesOf(atOnce(parser.json(body, posting)))).toEqual(clicks.flatMap(expected));
      }),
      { numRuns: 5_000 },
    );
  });

  it('may hold as many clicks as are allowed, and no more, plain or not', () => {
    const few = createClickParser(2);
    const [plain, odd] = ['{"ad_id":"a"}', '{"ad_id":"a","x":1}'];
    for (const each of [plain, odd]) {
      expect(atOnce(few.ndjson(Buffer.from(`${each}\n\n${each}\n \n`), posting)).lines.count).toBe(2);
      expect(atOnce(few.json(Buffer.from(`[${each},${each}]`), posting)).lines.count).toBe(2);
      expect(() => atOnce(few.ndjson(Buffer.from(`${each}\n${each}\n${each}`), posting))).toThrow('more than 2 clicks');
      expect(() => atOnce(few.json(Buffer.from(`[${each},${each},${each}]`), posting))).toThrow('more than 2 clicks');
    }
  });

  it('loses no line to another that is not UTF-8, or has something behind its click', () => {
    const body = Buffer.concat([
      Buffer.from('{"ad_id":"a"}\n{"ad_id":"b"} x\n{"ad_id":"'),
      Buffer.from([0xff]),
      Buffer.from('"}\n{"ad_id":"c"}'),
    ]);
    const { lines, rejected } = atOnce(parser.ndjson(body, posting));
    expect([lines.clickOf(0).adId, lines.clickOf(1).adId, lines.count]).toEqual(['a', 'c', 2]);
    expect(rejected.map(({ index, code }) => [index, code])).toEqual([
      [1, 'invalid_json'],
      [2, 'invalid_json'],
    ]);
  });
});

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body));
  } catch {
    return undefined;
  }
}
