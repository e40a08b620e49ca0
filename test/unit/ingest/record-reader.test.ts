import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { RecordReader } from '../../../ingest/record-reader.ts';

const texts = fc
  .oneof(fc.string({ minLength: 1, maxLength: 128 }), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }))
  .filter(text => text.length <= 128 && text.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(text));
const clicks: fc.Arbitrary<Click> = fc.record({
  clickId: fc.stringMatching(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/),
  eventId: texts,
  adId: fc.stringMatching(/^[A-Za-z0-9._:-]{1,128}$/),
  clickedAt: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  receivedAt: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  country: fc.stringMatching(/^[A-Z]{2}$/),
  userId: fc.option(texts, { nil: undefined }),
  ip: fc.option(fc.oneof(fc.ipV4(), fc.ipV6()), { nil: undefined }),
  facts: fc.option(fc.integer({ min: 1, max: 127 }), { nil: undefined }),
  userAgent: fc.option(texts, { nil: undefined }),
  referrer: fc.option(fc.webUrl(), { nil: undefined }),
  purpose: fc.constantFrom(undefined, 'prefetch', 'head'),
});

const plainClick = { clickId: 'A'.repeat(26), eventId: 'e', adId: 'a', clickedAt: 1, receivedAt: 2, country: 'KR' };

const allFields = {
  ...{ userId: 'u', ip: '::1', facts: 2, userAgent: 'Mozilla/5.0 (X11)' },
  ...{ referrer: 'https://page.example', purpose: 'prefetch' },
};

const encode = (text: string) => new TextEncoder().encode(text);

/** What the reader says of a line, ids as text. `fast`: without JSON.parse. */
function read(value: Uint8Array) {
  const reader = new RecordReader(3);
  reader.open(42, 1_763_800_000_000, value);
  return reader.next() ? described(reader) : undefined;
}

function described(reader: RecordReader) {
  const text = (start: number, end: number) => new TextDecoder().decode(reader.bytes.subarray(start, end));
  if (!reader.ok) return { ok: false, problem: reader.problem } as const;
  return {
    ok: true,
    fast: reader.parsed === undefined,
    eventId: text(reader.eventIdStart, reader.eventIdEnd),
    adId: text(reader.adIdStart, reader.adIdEnd),
    clickedAt: reader.clickedAt,
    country: String.fromCharCode(reader.country >> 8, reader.country & 255),
    facts: reader.facts,
    userId: text(reader.userIdStart, reader.userIdEnd),
    ip: text(reader.ipStart, reader.ipEnd),
    userAgent: text(reader.userAgentStart, reader.userAgentEnd),
    absent: [reader.userIdEnd, reader.ipEnd, reader.userAgentEnd].map(end => end === 0),
  } as const;
}

/** The same object with its fields in another order: never canonical, so read with JSON.parse. */
function shuffled(line: string): Uint8Array {
  const entries: [string, unknown][] = Object.entries(JSON.parse(line));
  return encode(JSON.stringify(Object.fromEntries(entries.toReversed())));
}

describe('RecordReader', () => {
  it('reads back what formatLine wrote', () => {
    fc.assert(
      fc.property(clicks, click => {
        const { eventId, adId, clickedAt, country, facts = 0, userId = '', ip = '', userAgent = '' } = click;
        expect(read(encode(formatLine(click)))).toMatchObject({
          ...{ ok: true, eventId, adId, clickedAt, country, facts, userId, ip, userAgent },
          absent: [userId === '', ip === '', userAgent === ''],
        });
      }),
    );
  });

  it('says of each line only what is in it, whatever the line before had', () => {
    const full = formatLine({ ...plainClick, ...allFields });
    for (const [before, after] of [
      [full, formatLine(plainClick)],
      [formatLine(plainClick), full],
      [shuffled(full), formatLine(plainClick)],
      [full, shuffled(formatLine(plainClick))],
    ].map(lines => lines.map(line => Buffer.from(line).toString()))) {
      const reader = new RecordReader(3);
      reader.open(42, 1_000, encode(`${before}\n${after}`));
      reader.next();
      reader.next();
      expect(described(reader)).toEqual({ ...read(encode(after!)) });
    }
  });

  it('takes no notice of a letter that is the letter of no fact, canonical or not', () => {
    const line = formatLine({ ...plainClick, facts: 2 | 64 }).replace('"facts":"bp"', '"facts":"bpzY~"');
    expect(read(encode(line))).toMatchObject({ fast: true, facts: 2 | 64 });
    expect(read(shuffled(line))).toMatchObject({ fast: false, facts: 2 | 64 });
  });

  it('counts a click without the facts, user agent, referrer and purpose that break a rule', () => {
    for (const value of [5, null, '', {}, ['b'], 'b'.repeat(513), 'a\u0001b']) {
      const odd = { facts: value, user_agent: value, referrer: value, purpose: value };
      const line = encode(JSON.stringify({ ...JSON.parse(formatLine(plainClick)), ...odd }));
      const plain = read(encode(formatLine(plainClick)));
      expect(read(line)).toEqual({ ...plain, fast: false });
    }
  });

  it('takes the fast path for a plain canonical line', () => {
    for (const fields of [{}, { userId: 'u', ip: '::1' }, allFields, { facts: 1 }, { purpose: 'head' }])
      expect(read(encode(formatLine({ ...plainClick, ...fields })))).toMatchObject({ ok: true, fast: true });
  });

  it('says the same of a line whose fields stand in another order', () => {
    fc.assert(
      fc.property(clicks, click => {
        const line = formatLine(click);
        const { fast: _fast, ...canonical } = { fast: false, ...read(encode(line)) };
        const other = read(shuffled(line));
        expect(other).toEqual({ ...canonical, fast: false });
      }),
    );
  });

  it('never takes the fast path for a damaged line that JSON.parse reads otherwise', () => {
    const damage = fc.record({
      at: fc.nat(),
      byte: fc.oneof(fc.nat(255), fc.constantFrom(...encode('",:{}\\ 0'))),
      kind: fc.constantFrom('set', 'insert', 'remove'),
    });
    let fastReads = 0;
    fc.assert(
      fc.property(clicks, fc.array(damage, { minLength: 1, maxLength: 3 }), (click, damages) => {
        const bytes = [...encode(formatLine(click))];
        for (const { at, byte, kind } of damages)
          bytes.splice(at % bytes.length, kind === 'insert' ? 0 : 1, ...(kind === 'remove' ? [] : [byte]));
        if (bytes.includes(10)) return;
        const fast = read(Uint8Array.from(bytes));
        if (!fast?.ok || !fast.fast) return;
        fastReads++;
        // A blank in front makes the line uncanonical and changes nothing else.
        expect(read(Uint8Array.from([32, ...bytes]))).toEqual({ ...fast, fast: false });
      }),
      { numRuns: 20_000 },
    );
    expect(fastReads).toBeGreaterThan(100);
  });

  it('takes every plain byte, at every place in a word, on the fast path, and no other byte', () => {
    const line = encode(formatLine({ ...plainClick, eventId: 'x'.repeat(16) }));
    const at = new TextDecoder().decode(line).indexOf('x'.repeat(16));
    for (let byte = 0; byte < 256; byte++) {
      const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
      for (let place = 0; place < 16; place++) {
        const changed = line.slice();
        changed[at + place] = byte;
        const found = read(changed);
        expect([byte, place, found?.ok && found.fast]).toEqual([byte, place, isPlain]);
      }
    }
  });

  it('refuses ids that are too long, canonical or not', () => {
    for (const field of ['eventId', 'adId', 'userId', 'ip'] as const) {
      const line = formatLine({ ...plainClick, [field]: 'x'.repeat(129) });
      expect([read(encode(line))?.ok, read(shuffled(line))?.ok]).toEqual([false, false]);
    }
  });

  it('walks over lines, skips blank ones and needs no last newline', () => {
    const reader = new RecordReader(0);
    reader.open(7, 1_000, encode('{"ad_id":"a","clicked_at":5}\n\r\n \n{"ad_id":"b","clicked_at":6}\nnonsense'));
    const seen: unknown[] = [];
    while (reader.next())
      seen.push(reader.ok ? [reader.lineIndex, reader.parsed?.adId, reader.parsed?.eventId] : reader.problem);
    expect(seen).toEqual([[0, 'a', 'log-0-7-0'], [1, 'b', 'log-0-7-1'], 'not a line of UTF-8 JSON']);
  });

  it('takes the append time where no time of receipt is given', () => {
    const reader = new RecordReader(0);
    reader.open(7, 1_000, encode('{"ad_id":"a","clicked_at":5}'));
    reader.next();
    expect(reader.parsed?.receivedAt).toBe(1_000);
  });

  it('finds no line in a tick', () => {
    const reader = new RecordReader(0);
    reader.open(7, 1_000, null);
    expect(reader.next()).toBe(false);
  });
});
