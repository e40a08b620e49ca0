import { appendFile, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Retryable } from '../../../../infra/errors.ts';
import { FeedBooks } from '../../../../ingest/feed/feed-books.ts';
import type { Post } from '../../../../ingest/feed/poster.ts';
import { countingIngest, type FeedTest, feedTest } from '../../../support/feeding.ts';

let directory = '';
let log = '';
let said = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'feed-'));
  log = join(directory, 'clicks.ndjson');
  said = '';
  vi.spyOn(process.stderr, 'write').mockImplementation(text => {
    said += String(text);
    return true;
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(directory, { recursive: true });
});

const feed = (post: Post, given: Partial<FeedTest> = {}) => feedTest({ directory, file: log, post, ...given });
const at = 1_763_800_000_000;
const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `{"ad_id":"ad-${from + i}","clicked_at":${at}}\n`).join('');
const ads = (count: number) => Array.from({ length: count }, (_, i) => `ad-${i}`);
const restart = { options: { restart: true } };

describe('feedFile', () => {
  it('posts every row once and goes on behind the last when fed again', async () => {
    await writeFile(log, lines(0, 95));
    const ingest = countingIngest();
    expect((await feed(ingest.post)).sum).toBe('95 rows = 95 accepted + 0 rejected');
    await appendFile(log, lines(95, 100));
    expect(await feed(ingest.post)).toMatchObject({ sum: '5 rows = 5 accepted + 0 rejected', resumedAt: 95 });
    expect(ingest.ads()).toEqual(ads(100));
  });

  it('loses and doubles nothing when it breaks off anywhere', async () => {
    await writeFile(log, lines(0, 100));
    const ingest = countingIngest();
    for (let failAt = 1; ingest.ads().length < 100; failAt = (failAt % 3) + 1) {
      let calls = 0;
      const flaky: Post = async batch => {
        const call = ++calls;
        await new Promise(resolve => setTimeout(resolve, 5 - call));
        if (call === failAt + 1) throw new Retryable('gone');
        return await ingest.post(batch);
      };
      await feed(flaky).catch((error: unknown) => expect(error).toBeInstanceOf(Retryable));
    }
    expect(ingest.ads().toSorted()).toEqual(ads(100).toSorted());
  });

  it('never records a place behind a batch whose outcome is unknown', async () => {
    await writeFile(log, lines(0, 30));
    let calls = 0;
    const secondFails: Post = batch =>
      ++calls === 2 ? Promise.reject(new Retryable('gone')) : Promise.resolve({ accepted: batch.length, rejected: [] });
    await expect(feed(secondFails)).rejects.toThrow('gone');
    const state = JSON.parse(await readFile(join(directory, 'state.json'), 'utf8'));
    expect(state.points).toMatchObject([{ line: 10, offset: Buffer.byteLength(lines(0, 10)) }]);
  });

  it('posts nothing more once a batch has failed', async () => {
    await writeFile(log, lines(0, 35));
    let calls = 0;
    const fails: Post = () => {
      calls++;
      return Promise.reject(new Retryable('gone'));
    };
    await expect(feed(fails, { options: { concurrency: 1 } })).rejects.toThrow('gone');
    await new Promise(resolve => setTimeout(resolve, 500));
    expect(calls).toBe(1);
  });

  it('has at most so many batches in memory', async () => {
    await writeFile(log, lines(0, 200));
    let open = 0;
    let most = 0;
    const slow: Post = async batch => {
      most = Math.max(most, ++open);
      await new Promise(resolve => setTimeout(resolve, 2));
      open--;
      return { accepted: batch.length, rejected: [] };
    };
    await feed(slow);
    expect(most).toBe(3);
  });

  it('begins anew when another file bears the name, and says that the old one is nowhere', async () => {
    await writeFile(log, lines(0, 20));
    const ingest = countingIngest();
    await feed(ingest.post);
    await writeFile(log, lines(20, 60));
    expect(await feed(ingest.post)).toMatchObject({ sum: '40 rows = 40 accepted + 0 rejected', resumedAt: 0 });
    expect(said).toContain('no file contains what was fed up to line 20 any more');
  });

  const csv = (rows: number) =>
    `ad_id,clicked_at,event_id\n${Array.from({ length: rows }, (_, i) => `ad-${i},${at},e-${i}\n`).join('')}`;
  const w3c = (rows: number) =>
    `#Fields: date time cs-method cs-uri-stem sc-status x-edge-request-id\n${Array.from({ length: rows }, (_, i) => `2025-11-22 08:26:40 GET /ad-${i} 200 e-${i}\n`).join('')}`;
  it.each([
    ['CSV', csv, undefined],
    ['CSV in UTF-16', (rows: number) => Buffer.from(`\ufeff${csv(rows)}`, 'utf16le'), undefined],
    ['packed CSV', (rows: number) => gzipSync(csv(rows)), undefined],
    ['a W3C log', w3c, 'path'],
  ] as const)('goes on far within %s by the columns that its beginning names', async (_, contentOf, adId) => {
    const file = join(directory, 'long');
    const ingest = countingIngest();
    for (const rows of [500, 501, 700]) {
      await writeFile(file, contentOf(rows));
      const { books } = await feed(ingest.post, { file, mapping: { adId } });
      expect([books.fault, books.rejected]).toEqual([undefined, 0]);
    }
    expect(ingest.ads()).toEqual(ads(700));
    expect(said).not.toContain('no file contains what was fed');
  });

  it('goes on from a resume point of release 0.2', async () => {
    const csv = join(directory, 'old.csv');
    const head = 'ad_id,clicked_at\n';
    await writeFile(csv, `${head}a,${at}\nb,${at}\n`);
    const { digestOf } = await import('../../../../ingest/feed/resume-point.ts');
    const offset = head.length + `a,${at}\n`.length;
    const headDigest = digestOf(Buffer.from(`${head}a,${at}\n`));
    const old = { file: csv, offset, line: 2, accepted: 1, rejected: 0, headBytes: offset, head: headDigest };
    await writeFile(join(directory, 'state.json'), JSON.stringify(old));
    const ingest = countingIngest();
    expect(await feed(ingest.post, { file: csv })).toMatchObject({ sum: '1 row = 1 accepted + 0 rejected' });
    expect(ingest.ads()).toEqual(['b']);
  });
});

describe('the law that no row is left out', () => {
  it('has each row rejected with its line, field, value and rule, also after a resume, and its text kept to be mended', async () => {
    const csv = join(directory, 'in.csv');
    const rejectsPath = join(directory, 'rejects.csv');
    const columnOf = { ad_id: 'banner' };
    await writeFile(csv, `banner,clicked_at\na,${at}\nbad,${at}\nb,12\nc\n`);
    const ingest = countingIngest();
    const given = { file: csv, options: { rejectsPath }, mapping: { columnOf } };
    expect((await feed(ingest.post, given)).sum).toBe('4 rows = 1 accepted + 3 rejected');
    await appendFile(csv, `\nd,"x\ne,${at}\n`);
    expect((await feed(ingest.post, given)).sum).toBe('2 rows = 1 accepted + 1 rejected');
    expect(said).toContain(`${csv}:3: ad_id (column banner): is refused (it is "bad")`);
    expect(said).toContain(`${csv}:4: clicked_at: is not a time after 2001`);
    expect(said).toContain(`${csv}:5: 1 columns where the header has 2`);
    expect(said).toContain(`${csv}:7: a quote is not closed on its line`);
    const kept = await readFile(rejectsPath, 'utf8');
    expect(kept).toBe(`banner,clicked_at\nbad,${at}\nb,12\nc\nbanner,clicked_at\nd,"x\n`);

    await writeFile(rejectsPath, kept.replace('bad', 'good').replace('b,12', `b,${at}`).replace('c\n', `c,${at}\n`));
    const mended = await feed(ingest.post, { file: rejectsPath, mapping: { columnOf } });
    expect(mended.sum).toBe('4 rows = 3 accepted + 1 rejected');
    expect(ingest.ads()).toEqual(['a', 'e', 'good', 'b', 'c']);
  });

  it('is broken, and told, by an ingest that answers for fewer rows than were posted', async () => {
    await writeFile(log, lines(0, 5));
    const { books } = await feed(batch => Promise.resolve({ accepted: batch.length - 1, rejected: [] }));
    expect(books.fault).toBe('5 rows were read, but 4 have an outcome');
  });

  it('is broken, and told, by a row that is left out, between two others or at the end', () => {
    const file = {};
    const bytes = Buffer.from('a');
    const entry = (number: number, start: number) => {
      const line = {
        number,
        start,
        end: start + 2,
        text: 'a',
        bytes,
        bytesAt: start,
        isEnded: true,
        problem: undefined,
      };
      return { first: line, last: line, text: 'a', row: { columns: {} } };
    };
    const books = new FeedBooks();
    books.open(file, { offset: 0, line: 0 });
    books.enter(file, entry(1, 0), { kind: 'rejected' });
    expect(books.fault).toBeUndefined();
    books.close(file, 4);
    expect(books.fault).toBe('2 bytes were read but belong to no row');
    const others = new FeedBooks();
    others.open(file, { offset: 0, line: 0 });
    others.enter(file, entry(2, 2), { kind: 'rejected' });
    expect(others.fault).toBe('line 2 was read after line 0');
  });

  it('counts a packed file that breaks off as one reject, and the rows before it', async () => {
    const packed = join(directory, 'broken.gz');
    await writeFile(packed, gzipSync(lines(0, 3_000)).subarray(0, -20));
    const ingest = countingIngest();
    const { books } = await feed(ingest.post, { file: packed });
    expect([books.fault, books.rejected, books.accepted]).toEqual([undefined, 1, books.rows - 1]);
    expect(said).toContain('cannot be read any further: unexpected end of file');
  });

  it('counts requests that are no clicks by the rule that says so', async () => {
    const access = join(directory, 'access.log');
    const line = (request: string, status: number) =>
      `203.0.113.7 - - [22/Nov/2025:08:26:40 +0100] "${request}" ${status} 12 "-" "UA \\"x\\""\n`;
    await writeFile(
      access,
      line('GET /c/x?ad=a HTTP/1.1', 302) +
        line('GET /c/x?ad=b HTTP/1.1', 404) +
        line('HEAD /c/x?ad=c HTTP/1.1', 200) +
        line('\\x16\\x03', 400) +
        line('GET /favicon.ico HTTP/1.1', 200) +
        line('GET /c/none HTTP/1.1', 200),
    );
    const ingest = countingIngest();
    const { sum } = await feed(ingest.post, { file: access, mapping: { adId: 'query:ad', path: '/c/' } });
    expect(sum).toBe(
      '6 rows = 1 accepted + 0 rejected + 5 skipped (1 by --status, 2 by --method, 1 by --path, 1 by --ad-id)',
    );
    expect(ingest.clicks()).toMatchObject([{ ad_id: 'a', clicked_at: '2025-11-22T08:26:40+01:00', ip: '203.0.113.7' }]);
    expect(said).toContain('read as combined');
  });
});

describe('a last line without its newline', () => {
  const csv = () => join(directory, 'l.csv');
  const begun = `ad_id,clicked_at,event_id\na,${at},h-1\na,${at},h-2`;
  const ids = (ingest: ReturnType<typeof countingIngest>) => ingest.clicks().map(({ event_id }) => event_id);

  it('is left for the next run, which has it whole', async () => {
    await writeFile(csv(), begun);
    const ingest = countingIngest();
    expect((await feed(ingest.post, { file: csv() })).sum).toBe('1 row = 1 accepted + 0 rejected');
    expect(said).toContain(`${csv()}:3: the line is not finished`);
    await appendFile(csv(), `2\na,${at},h-3\n`);
    await feed(ingest.post, { file: csv() });
    expect(ids(ingest)).toEqual(['h-1', 'h-22', 'h-3']);
  });

  it('is taken once nobody has written for a minute, and is not taken twice', async () => {
    await writeFile(csv(), begun);
    await utimes(csv(), Date.now() / 1_000 - 61, Date.now() / 1_000 - 61);
    const ingest = countingIngest();
    expect((await feed(ingest.post, { file: csv() })).sum).toBe('2 rows = 2 accepted + 0 rejected');
    await utimes(csv(), Date.now() / 1_000 - 61, Date.now() / 1_000 - 61);
    expect((await feed(ingest.post, { file: csv() })).sum).toBe(
      '1 row = 0 accepted + 0 rejected + 1 skipped (1 already fed)',
    );
    await appendFile(csv(), `\na,${at},h-3\n`);
    expect((await feed(ingest.post, { file: csv() })).sum).toBe(
      '2 rows = 1 accepted + 0 rejected + 1 skipped (1 already fed)',
    );
    expect(ids(ingest)).toEqual(['h-1', 'h-2', 'h-3']);
  });

  it('loses nothing if it went on after all', async () => {
    await writeFile(csv(), begun);
    const ingest = countingIngest();
    await feed(ingest.post, { file: csv(), options: { lastLine: true } });
    await appendFile(csv(), '2\n');
    await feed(ingest.post, { file: csv() });
    expect(ids(ingest)).toEqual(['h-1', 'h-2', 'h-22']);
  });

  it('is taken at once where it says itself that it is whole', async () => {
    await writeFile(log, `${lines(0, 2)}${lines(2, 3).trim()}`);
    const ingest = countingIngest();
    await feed(ingest.post);
    expect(ingest.ads()).toEqual(ads(3));
    await writeFile(log, `${lines(0, 2)}${lines(2, 3).slice(0, 9)}`);
    expect((await feed(ingest.post, restart)).sum).toBe('2 rows = 2 accepted + 0 rejected');
  });
});

describe('ids of rows without one', () => {
  const twice = `${lines(0, 3)}${lines(0, 1)}${lines(3, 5)}`;
  const idsOf = (ingest: ReturnType<typeof countingIngest>) => ingest.clicks().map(({ event_id }) => event_id);

  it('tell equal rows apart, and are the same wherever one goes on', async () => {
    await writeFile(log, twice);
    const whole = countingIngest();
    await feed(whole.post);
    expect(whole.ads().toSorted()).toEqual([...ads(5), 'ad-0'].toSorted());

    const pieces = countingIngest();
    await rm(join(directory, 'state.json'));
    await rm(log);
    for (const line of twice.trim().split('\n')) {
      await appendFile(log, `${line}\n`);
      await feed(pieces.post);
    }
    expect(idsOf(pieces)).toEqual(idsOf(whole));
  });

  it('are the same in a file that was renamed, packed, written with CRLF or in UTF-16, or put behind another', async () => {
    await writeFile(log, twice);
    const ingest = countingIngest();
    await feed(ingest.post);
    const before = idsOf(ingest);
    const others = {
      'renamed.log': twice,
      'packed.gz': gzipSync(twice),
      'two-members.gz': Buffer.concat([gzipSync(twice.slice(0, 50)), gzipSync(twice.slice(50))]),
      'crlf.log': twice.replaceAll('\n', '\r\n'),
      'utf-16.log': Buffer.from(`\ufeff${twice}`, 'utf16le'),
      'mark.log': `\ufeff${twice}`,
    };
    for (const [name, content] of Object.entries(others)) {
      const file = join(directory, name);
      await writeFile(file, content);
      await feed(ingest.post, { file, options: { statePath: join(directory, `${name}.json`) } });
      expect(idsOf(ingest), name).toEqual(before);
    }
    const behind = join(directory, 'behind.log');
    await writeFile(behind, lines(5, 9) + twice);
    await feed(ingest.post, { file: behind, options: { statePath: join(directory, 'behind.json') } });
    expect(ingest.ads().toSorted()).toEqual([...ads(9), 'ad-0'].toSorted());
  });

  it('make as many clicks of equal rows as the one content has that has most', async () => {
    const ingest = countingIngest();
    const feedContent = async (name: string, content: string) => {
      await writeFile(join(directory, name), content);
      await feed(ingest.post, { file: join(directory, name), options: { statePath: join(directory, `${name}.s`) } });
      return ingest.clicks().length;
    };
    const row = lines(0, 1);
    expect(await feedContent('one', row)).toBe(1);
    expect(await feedContent('two', row.repeat(2))).toBe(2);
    expect(await feedContent('both', row.repeat(3))).toBe(3);
    expect(await feedContent('again', row.repeat(2))).toBe(3);
  });
});
