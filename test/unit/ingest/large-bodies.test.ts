/**
 * Bodies that are made to keep a server busy. How long the event loop waits is measured in what is done between two
 * of its turns, not in ms: how often, and how much, is parsed.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Slices } from '../../../infra/slices.ts';
import {
  type ClickBatch,
  type ClickParser,
  createClickParser,
  maxClickBytes,
  maxClickDepth,
  maxRejectionsTold,
} from '../../../ingest/click-batch.ts';

const receivedAt = Date.parse('2026-03-01T12:00:00Z');
const posting = { receivedAt, isStrict: false };
const mib = 1 << 20;
const repeated = (text: string, bytes = 4 * mib) => text.repeat(Math.floor(bytes / Buffer.byteLength(text)));
const listed = (text: string, bytes?: number) => `[${repeated(`${text},`, bytes)}${text}]`;

afterEach(() => {
  vi.restoreAllMocks();
});

/** Runs a body to its end, and tells the most that was done between two turns of the event loop. */
function run(slices: Slices<ClickBatch>) {
  const parse = vi.spyOn(JSON, 'parse');
  const most = { calls: 0, characters: 0 };
  let batch: ClickBatch | undefined;
  let problem: unknown;
  let count = 0;
  for (let isDone = false; !isDone; count++) {
    parse.mockClear();
    try {
      const slice = slices.next();
      isDone = slice.done === true;
      if (slice.done) batch = slice.value;
    } catch (error) {
      problem = error;
      isDone = true;
    }
    most.calls = Math.max(most.calls, parse.mock.calls.length);
    const characters = parse.mock.calls.reduce((sum, [text]) => sum + text.length, 0);
    most.characters = Math.max(most.characters, characters);
  }
  parse.mockRestore();
  return { batch, problem, count, most };
}

describe('a body that is made to take long', () => {
  const bodies: [what: string, format: keyof ClickParser, body: string, code: string][] = [
    ['blank lines', 'ndjson', `${repeated('\n')}{"ad_id":"x"}`, 'accepted 1'],
    ['lines of blanks', 'ndjson', `${repeated(' \t\r\n')}{"ad_id":"x"}`, 'accepted 1'],
    ['lines that only Unicode calls blank', 'ndjson', repeated('\u00a0\n'), 'too_many_clicks'],
    ['lines of one digit', 'ndjson', repeated('1\n'), 'too_many_clicks'],
    ['one line of objects', 'ndjson', `{"a":${listed('{}')}}`, 'too_large'],
    ['lines of many objects', 'ndjson', repeated(`${listed('{}', 60_000)}\n`), 'not_an_object'],
    ['brackets in brackets', 'json', `${'['.repeat(2 * mib)}${']'.repeat(2 * mib)}`, 'too_large'],
    ['open brackets', 'json', '['.repeat(4 * mib), 'invalid_json'],
    ['a line of brackets in brackets', 'ndjson', `${'['.repeat(30_000)}${']'.repeat(30_000)}`, 'too_deep'],
    ['an array of objects', 'json', listed('{}'), 'too_many_clicks'],
    ['one click of objects', 'json', `{"a":${listed('{}')}}`, 'too_large'],
    ['an array of a click of objects', 'json', `[{"a":${listed('{}')}}]`, 'too_large'],
    ['an array of a long text', 'json', `["${'x'.repeat(4 * mib)}"]`, 'too_large'],
    ['a text that does not end', 'json', `["${'\\"'.repeat(2 * mib)}`, 'invalid_json'],
    ['space before a click', 'json', `${' '.repeat(4 * mib)}{"ad_id":"x"}`, 'accepted 1'],
    ['space in an array', 'json', `[${' '.repeat(2 * mib)}{"ad_id":"x"}${' '.repeat(2 * mib)}]`, 'accepted 1'],
    ['long digits', 'json', `[{"ad_id":"x","clicked_at":${'1'.repeat(4 * mib)}}]`, 'too_large'],
  ];
  it.each(bodies)('is bounded between two turns of the event loop: %s', (_what, format, body, code) => {
    const { batch, problem, count, most } = run(createClickParser(10_000)[format](Buffer.from(body), posting));
    const outcome = batch?.lines.count ? `accepted ${batch.lines.count}` : batch?.rejected[0]?.code;
    expect(outcome ?? Reflect.get(Object(problem), 'code')).toBe(code);
    expect(most.calls).toBeLessThanOrEqual(256);
    expect(most.characters).toBeLessThanOrEqual(2 * maxClickBytes);
    // A turn for each MiB at the least, where all of the body is looked at: it was none for all of it.
    const isReadWhole = !['too_many_clicks', 'too_deep'].includes(code) && format === 'json';
    if (isReadWhole && !body.startsWith('{')) expect(count).toBeGreaterThanOrEqual(4);
  });

  it('is left to others after each quarter of a MiB of blank lines, or of plain clicks', () => {
    const blank = run(createClickParser(10_000).ndjson(Buffer.from(repeated('\n')), posting));
    expect(blank.count).toBeGreaterThanOrEqual(16);
    const clicks = `{"ad_id":"x","user_id":"${'u'.repeat(100)}"}\n`.repeat(9_000);
    const plain = run(createClickParser(10_000).ndjson(Buffer.from(clicks), posting));
    expect(plain.count).toBeGreaterThanOrEqual(4);
    expect([plain.batch?.lines.count, plain.most.calls]).toEqual([9_000, 0]);
  });

  it('is done in one slice where it is an ordinary batch', () => {
    const clicks = '{"ad_id":"x","user_id":"u"}\n'.repeat(1_000);
    expect(run(createClickParser(10_000).ndjson(Buffer.from(clicks), posting)).count).toBe(1);
  });
});

describe('a click that is too large or too deep', () => {
  const deep = (depth: number) => `{"ad_id":"d","x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
  const large = (bytes: number) => `{"ad_id":"l","x":"${'x'.repeat(bytes - 21)}"}`.padEnd(bytes).slice(0, bytes);
  const clicks = ['{"ad_id":"a"}', large(maxClickBytes + 1), deep(maxClickDepth + 1), '{"ad_id":"b"}'];

  it.each([
    ['ndjson', clicks.join('\n')],
    ['json', `[${clicks.join(' , ')}]`],
  ] as const)('is rejected alone, by its index and the rule: %s', (format, body) => {
    const { batch } = run(createClickParser(10)[format](Buffer.from(body), posting));
    expect([batch?.lines.count, batch?.rejectedTotal]).toEqual([2, 2]);
    const bytes = batch?.rejected[0]?.message.match(/\d+/)?.[0];
    expect(Number(bytes)).toBeGreaterThan(maxClickBytes);
    expect(batch?.rejected).toEqual([
      { index: 1, code: 'too_large', message: `the click has ${bytes} bytes, but must have at most 65536` },
      { index: 2, code: 'too_deep', message: 'the click nests too deep, but must nest at most 64 deep' },
    ]);
  });

  it('is taken where it is just as large, and as deep, as it may be', () => {
    const body = Buffer.from([large(maxClickBytes), deep(maxClickDepth)].join('\n'));
    const { batch } = run(createClickParser(10).ndjson(body, posting));
    expect([batch?.lines.count, batch?.rejectedTotal]).toEqual([2, 0]);
  });
});

describe('rejections', () => {
  it('are told up to a number, the first of them, and all are counted', () => {
    const body = Buffer.from('{}\n{"ad_id":"x"}\n'.repeat(1_000));
    const { batch } = run(createClickParser(10_000).ndjson(body, posting));
    expect([batch?.lines.count, batch?.rejectedTotal]).toEqual([1_000, 1_000]);
    expect(batch?.rejected.map(({ index }) => index)).toEqual(
      Array.from({ length: maxRejectionsTold }, (_, i) => 2 * i),
    );
  });
});
