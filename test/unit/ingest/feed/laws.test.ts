/** What holds of every file: accepted + rejected + skipped = rows, wherever one stops; and what we write comes back. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { csvLine } from '../../../../infra/csv.ts';
import { isText, limits } from '../../../../ingest/click.ts';
import {
  clickColumns,
  earlierClickColumns,
  earlierQuarantineColumns,
  quarantineColumns,
} from '../../../../ingest/feed/exported-columns.ts';
import { maxLineBytes } from '../../../../ingest/feed/line.ts';
import { countingIngest, type Fed, type FeedTest, feedTest } from '../../../support/feeding.ts';

beforeEach(() => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});

const at = 1_763_800_000_000;

/** A line of a file, and what it comes to. */
interface Told {
  readonly bytes: Buffer;
  readonly comesTo: 'accepted' | 'rejected' | 'skipped' | 'no row';
}

const ad = fc.stringMatching(/^[a-z0-9._:-]{1,6}$/).filter(id => id !== 'bad');
const told = (comesTo: Told['comesTo'], ...texts: readonly (string | Buffer)[]) =>
  fc.constantFrom(...texts).map(text => ({ bytes: Buffer.from(text), comesTo }));
const each = (comesTo: Told['comesTo'], line: (id: string) => string) =>
  ad.map(id => ({ bytes: Buffer.from(line(id)), comesTo }));
const notUtf8 = Buffer.from([0x61, 0xff, 0x2c, 0x31]);
const tooLong = 'x'.repeat(maxLineBytes + 9);
const logLine = (request: string, status: number) =>
  `203.0.113.7 - - [22/Nov/2025:08:26:40 +0000] "${request}" ${status} 5 "-" "a \\"b\\" c"`;

const formats: Readonly<
  Record<string, { readonly head: string; readonly line: fc.Arbitrary<Told>; readonly given?: Partial<FeedTest> }>
> = {
  csv: {
    head: 'ad_id,clicked_at,ua\n',
    line: fc.oneof(
      { weight: 6, arbitrary: each('accepted', id => `${id},${at},"ua, of ""${id}"""`) },
      each('rejected', id => `${id},${at},"not closed`),
      each('rejected', id => `"${id},${at},x`),
      each('rejected', id => `${id},12,x`),
      told('rejected', `bad,${at},x`, `a,${at}`, `a,${at},x,y`, 'a,,x', '"', notUtf8, tooLong),
      told('no row', '', '  ', 'ad_id,clicked_at,ua', '\r'),
    ),
  },
  ndjson: {
    head: '',
    line: fc.oneof(
      { weight: 6, arbitrary: each('accepted', id => JSON.stringify({ ad_id: id, clicked_at: at })) },
      each('rejected', id => JSON.stringify({ ad_id: id })),
      each('rejected', id => JSON.stringify({ ad_id: id, clicked_at: at }).slice(0, -1)),
      told('rejected', 'nonsense', '[1]', '1', `{"ad_id":"bad","clicked_at":${at}}`, notUtf8, tooLong),
      told('no row', '', ' ', '\r'),
    ),
    given: { options: { format: 'ndjson' } },
  },
  combined: {
    head: '',
    line: fc.oneof(
      { weight: 6, arbitrary: each('accepted', id => logLine(`GET /c?ad=${id} HTTP/1.1`, 302)) },
      each('skipped', id => logLine(`GET /c?ad=${id} HTTP/1.1`, 404)),
      told('skipped', logLine('GET /c HTTP/1.1', 200), logLine('-', 400), logLine('HEAD /c?ad=a HTTP/1.1', 200)),
      told('rejected', 'garbage', logLine('GET /c?ad=bad HTTP/1.1', 200), notUtf8, tooLong),
      told('no row', '', ' '),
    ),
    given: { options: { format: 'combined' }, mapping: { adId: 'query:ad' } },
  },
};

interface Outcome {
  readonly rows: number;
  readonly accepted: number;
  readonly rejected: number;
  readonly lines: readonly number[];
  readonly clicks: readonly unknown[];
}

/** Feeds the content, the file growing to each of these sizes in turn. */
async function outcome(content: Buffer, sizes: readonly number[], given: Partial<FeedTest> = {}): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), 'laws-'));
  const file = join(directory, 'file');
  const rejectsPath = join(directory, 'rejects');
  const ingest = countingIngest();
  const fed: Fed[] = [];
  try {
    writeFileSync(file, '');
    let written = 0;
    for (const size of [...sizes, content.length]) {
      appendFileSync(file, content.subarray(written, size));
      written = size;
      fed.push(
        await feedTest({ directory, file, post: ingest.post, ...given, options: { rejectsPath, ...given.options } }),
      );
    }
    const reasons = readFileSync(`${rejectsPath}.reasons`, 'utf8').split('\n').filter(Boolean);
    expect(fed.map(({ books }) => books.fault)).toEqual(fed.map(() => undefined));
    const sum = (count: (each: Fed) => number) => fed.reduce((total, one) => total + count(one), 0);
    return {
      // A row that was fed before its line had ended is a row of the next run, too.
      rows: sum(({ books }) => books.rows - books.skippedBy('already fed')),
      accepted: sum(({ books }) => books.accepted),
      rejected: sum(({ books }) => books.rejected),
      lines: reasons.map(reason => JSON.parse(reason).line),
      clicks: ingest.clicks(),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe.each(Object.entries(formats))('any mixture of rows in %s', (_, { head, line, given }) => {
  const lines = fc.array(line, { minLength: 1, maxLength: 25 });
  const contentOf = (mixture: readonly Told[]) =>
    Buffer.concat([Buffer.from(head), ...mixture.flatMap(({ bytes }) => [bytes, Buffer.from('\n')])]);
  const first = head === '' ? 1 : 2;

  it('has each row accepted, rejected with its line, or skipped, and wherever it is interrupted the same clicks', async () => {
    await fc.assert(
      fc.asyncProperty(
        lines,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
        async (mixture, cuts) => {
          const content = contentOf(mixture);
          const whole = await outcome(content, [], given);
          const count = (comesTo: Told['comesTo']) => mixture.filter(each => each.comesTo === comesTo).length;
          expect(whole).toMatchObject({
            rows: mixture.length - count('no row'),
            accepted: count('accepted'),
            rejected: count('rejected'),
            lines: mixture.flatMap(({ comesTo }, i) => (comesTo === 'rejected' ? [i + first] : [])),
          });
          expect(whole.clicks).toHaveLength(count('accepted'));
          // The header is there before anybody feeds the file.
          const sizes = cuts.map(cut => head.length + Math.floor(cut * (content.length - head.length)));
          expect(
            await outcome(
              content,
              sizes.toSorted((a, b) => a - b),
              given,
            ),
          ).toEqual(whole);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('what we export', () => {
  const guarded = fc.constantFrom(
    '=',
    '+',
    '-',
    '@',
    '＝',
    "'",
    '"',
    ',',
    ';',
    ' ',
    '\u2028',
    '\ufeff',
    '\u0085',
    '\\',
    '😀',
    'a',
  );
  const text = fc
    .array(fc.oneof(guarded, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 })), {
      minLength: 1,
      maxLength: 6,
    })
    .map(parts => parts.join(''))
    .filter(value => isText(value, limits.eventIdLength));
  const click = fc.record(
    {
      ad_id: fc.stringMatching(/^[A-Za-z0-9._:-]{1,20}$/).filter(id => id !== 'bad'),
      event_id: text,
      clicked_at: fc.integer({ min: 1e12, max: 2e12 }),
      country: fc.constantFrom('KR', 'US'),
      user_id: text,
      ip: fc.constantFrom('203.0.113.7', '2001:db8::1'),
      facts: fc.constantFrom('b', 'cd'),
    },
    { requiredKeys: ['ad_id', 'event_id', 'clicked_at'] },
  );
  const clicks = fc.uniqueArray(click, {
    minLength: 1,
    maxLength: 10,
    selector: ({ ad_id, event_id }) => JSON.stringify([ad_id, event_id]),
  });
  type Click = typeof click extends fc.Arbitrary<infer T> ? T : never;

  const exported = (one: Click) => ({
    ...{
      click_id: '01K',
      received_at: '2026-01-01T00:00:00.000Z',
      user_id: '',
      ip: '',
      country: 'ZZ',
      facts: '',
      ...one,
    },
    ...{ user_agent: '', referrer: '' },
    clicked_at: new Date(one.clicked_at).toISOString(),
  });
  const quarantined = (one: Click) => ({
    ...{ partition: 1, offset: 2, line: 0, reason: 'future', detail: '-', appended_at: '2026-01-01T00:00:00.000Z' },
    ...{ ad_id: one.ad_id, event_id: '=cut', clicked_at: null, raw: JSON.stringify(one), outcome: 'not_counted' },
  });
  const csvOf = (columns: readonly string[], rows: readonly object[], delimiter = ',', end = '\n') => {
    const cells = rows.map(row => columns.map(column => csvLine([new Map(Object.entries(row)).get(column)]).trimEnd()));
    return [columns, ...cells].map(row => row.join(delimiter) + end).join('');
  };
  const linesOf = (rows: readonly object[]) => rows.map(row => `${JSON.stringify(row)}\n`).join('');

  const files: Readonly<Record<string, (all: readonly Click[]) => string>> = {
    'clicks as CSV': all => csvOf(clickColumns, all.map(exported)),
    'clicks as CSV, of an earlier release': all => csvOf(earlierClickColumns, all.map(exported)),
    'clicks as NDJSON': all => linesOf(all.map(exported)),
    'quarantine as CSV': all => csvOf(quarantineColumns, all.map(quarantined)),
    'quarantine as CSV, of an earlier release': all => csvOf(earlierQuarantineColumns, all.map(quarantined)),
    'quarantine as NDJSON': all => linesOf(all.map(quarantined)),
    'clicks as CSV, saved again with ; and CRLF': all => `\ufeff${csvOf(clickColumns, all.map(exported), ';', '\r\n')}`,
    'clicks as we take them': linesOf,
  };

  const hasFacts = (file: string) => file !== 'clicks as CSV, of an earlier release';

  it.each(Object.entries(files))('comes back as the very clicks: %s', async (file, fileOf) => {
    await fc.assert(
      fc.asyncProperty(clicks, async all => {
        const { clicks: fed, rejected } = await outcome(Buffer.from(fileOf(all)), []);
        const asFed = fed.map(one => ({ ...Object(one), clicked_at: new Date(Object(one).clicked_at).getTime() }));
        expect(rejected).toBe(0);
        expect(asFed).toEqual(hasFacts(file) ? all : all.map(({ facts: _, ...one }) => one));
      }),
      { numRuns: 60 },
    );
  });
});
