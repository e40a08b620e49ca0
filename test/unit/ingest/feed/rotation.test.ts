/** Real files, rotated by logrotate where it is installed, otherwise by the calls it makes (test/support/log-rotation.ts). */
import { appendFileSync, closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { countingIngest, type Fed, feedTest } from '../../../support/feeding.ts';
import { hasLogrotate, rotate } from '../../../support/log-rotation.ts';

let directory = '';
let log = '';
let said = '';
let next = 0;
let ingest = countingIngest();
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rotation-'));
  log = join(directory, 'd.log');
  said = '';
  next = 0;
  ingest = countingIngest();
  writeFileSync(log, '');
  vi.spyOn(process.stderr, 'write').mockImplementation(text => {
    said += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

/** Rows without event_id, the first of them twice: equal rows are two clicks. */
function rows(count: number): string {
  const row = (n: number) => `{"ad_id":"ad-${n}","clicked_at":1763800000000}\n`;
  const first = next;
  next += count;
  return row(first) + Array.from({ length: count }, (_, i) => row(first + i)).join('');
}

const feed = (options: Parameters<typeof feedTest>[0]['options'] = {}, deps = {}) =>
  feedTest({ directory, file: log, post: ingest.post, options, deps });

/** All that was written has been counted, each row once. */
const isAllCounted = (pieces: number) => {
  const expected = [...new Set(Array.from({ length: next }, (_, i) => `ad-${i}`))];
  expect([...new Set(ingest.ads())].toSorted()).toEqual(expected.toSorted());
  expect(ingest.clicks()).toHaveLength(next + pieces);
};
const counted = (pieces: number) => vi.waitFor(() => isAllCounted(pieces), { timeout: 20_000, interval: 50 });

async function following(work: () => Promise<void>, rotatedQuietMs = 60_000): Promise<Fed> {
  const stop = new AbortController();
  const fed = feed({ follow: true, rotatedQuietMs }, { stop: stop.signal });
  try {
    await work();
  } finally {
    stop.abort();
  }
  const result = await fed;
  expect(result.books.fault).toBeUndefined();
  return result;
}

describe(`a followed log that is rotated (${hasLogrotate ? 'by logrotate' : 'by its calls'})`, () => {
  it('create: has what is written to the old file and to the new one', async () => {
    await following(async () => {
      appendFileSync(log, rows(5));
      await counted(1);
      appendFileSync(log, rows(3));
      rotate(directory, log);
      appendFileSync(log, rows(4));
      await counted(3);
    });
  });

  it('create: has what late writers put into the old file after the new one has begun, and the end of their line', async () => {
    const late = openSync(log, 'a');
    await following(async () => {
      writeSync(late, rows(5));
      await counted(1);
      const half = rows(1);
      writeSync(late, half.slice(0, 20));
      rotate(directory, log);
      appendFileSync(log, rows(4));
      await vi.waitFor(() => expect(ingest.ads()).toContain('ad-9'), 20_000);
      writeSync(late, half.slice(20));
      await counted(3);
    });
    closeSync(late);
    expect((await feed()).sum).toBe('0 rows = 0 accepted + 0 rejected');
  });

  it('create, the old file removed at once: has all that was written to it', async () => {
    const late = openSync(log, 'a');
    await following(async () => {
      writeSync(late, rows(5));
      await counted(1);
      rotate(directory, log, { keep: 0 });
      writeSync(late, rows(2));
      appendFileSync(log, rows(4));
      await counted(3);
    });
    closeSync(late);
  });

  it('takes the unfinished line of a rotated file for whole when nobody has written for long', async () => {
    const csv = 'ad_id,clicked_at\n';
    writeFileSync(log, `${csv}a,1763800000000\nb,1763800000000`);
    await following(async () => {
      await vi.waitFor(() => expect(ingest.ads()).toEqual(['a']), 20_000);
      rotate(directory, log);
      appendFileSync(log, `${csv}c,1763800000000\n`);
      await vi.waitFor(() => expect(ingest.ads().toSorted()).toEqual(['a', 'b', 'c']), 20_000);
    }, 500);
    expect((await feed()).sum).toBe('0 rows = 0 accepted + 0 rejected');
  });

  it('twice within one look: has the file that came and went', async () => {
    await following(async () => {
      appendFileSync(log, rows(5));
      await counted(1);
      await new Promise(resolve => setTimeout(resolve, 20));
      rotate(directory, log);
      appendFileSync(log, rows(3));
      rotate(directory, log);
      appendFileSync(log, rows(2));
      await counted(3);
    });
  });

  it('copytruncate: has what was written between the last look and the truncation, which only the copy has', async () => {
    await following(async () => {
      appendFileSync(log, rows(5));
      await counted(1);
      appendFileSync(log, rows(3));
      rotate(directory, log, { copytruncate: true });
      await counted(2);
      appendFileSync(log, rows(2));
      await counted(3);
    });
    expect(said).not.toContain('missing');
  });

  it('copytruncate: gives equal rows on both sides of the last look the ids that they have in the copy', async () => {
    const row = '{"ad_id":"twin","clicked_at":1763800000000}\n';
    await following(async () => {
      appendFileSync(log, row + rows(5));
      await vi.waitFor(() => expect(ingest.clicks()).toHaveLength(7), 20_000);
      appendFileSync(log, row);
      rotate(directory, log, { copytruncate: true });
      await vi.waitFor(() => expect(ingest.clicks()).toHaveLength(8), 20_000);
    });
    const options = { statePath: join(directory, 'copy.json') };
    await feedTest({ directory, file: `${log}.1`, post: ingest.post, options });
    expect(ingest.clicks()).toHaveLength(8);
  });

  it('copytruncate, grown past the old place within one look: takes the new content for new', async () => {
    await following(async () => {
      appendFileSync(log, rows(5));
      await counted(1);
      const before = statSync(log).size;
      rotate(directory, log, { copytruncate: true });
      appendFileSync(log, rows(30));
      expect(statSync(log).size).toBeGreaterThan(before);
      await counted(2);
    });
  });

  it('copytruncate with a writer that goes on at its old place: reads on behind the NULs', async () => {
    const writer = openSync(log, 'r+');
    const write = (text: string, position: number) => position + writeSync(writer, text, position);
    await following(async () => {
      const position = write(rows(5), 0);
      await counted(1);
      rotate(directory, log, { copytruncate: true });
      write(rows(3), position + 3_000_000);
      await counted(2);
    });
    closeSync(writer);
  });

  it('copytruncate of a CSV: goes on with the columns that were named', async () => {
    writeFileSync(log, 'banner,clicked_at\na,1763800000000\n');
    const stop = new AbortController();
    const mapping = { columnOf: { ad_id: 'banner' } };
    const options = { follow: true };
    const fed = feedTest({ directory, file: log, post: ingest.post, mapping, options, deps: { stop: stop.signal } });
    await vi.waitFor(() => expect(ingest.ads()).toEqual(['a']), 20_000);
    rotate(directory, log, { copytruncate: true });
    appendFileSync(log, 'b,1763800000000\n');
    await vi.waitFor(() => expect(ingest.ads()).toEqual(['a', 'b']), 20_000);
    stop.abort();
    expect((await fed).sum).toBe('2 rows = 2 accepted + 0 rejected');
  });

  it('truncated without a copy: says that rows may be missing, and rejects the row that was cut off', async () => {
    const fed = await following(async () => {
      // At once, so that who has read the rows has read the half of the next one, too.
      appendFileSync(log, `${rows(5)}{"ad_id":"cu`);
      await counted(1);
      writeFileSync(log, '');
      await vi.waitFor(() => expect(said).toContain('was truncated, and no copy has its former content'), 20_000);
      appendFileSync(log, rows(2));
      await counted(2);
    });
    expect(said).toContain('d.log:7: cut off');
    expect(fed.books.rejected).toBe(1);
  });

  it('goes on where it was when it is stopped with the old file still open', async () => {
    const late = openSync(log, 'a');
    await following(async () => {
      writeSync(late, rows(5));
      await counted(1);
      rotate(directory, log);
      appendFileSync(log, rows(4));
      await counted(2);
    });
    writeSync(late, rows(3));
    appendFileSync(log, rows(2));
    await following(() => counted(4));
    closeSync(late);
  });
});

it.each([
  ['create', {}],
  ['compress', { compress: 'at once' }],
  ['delaycompress', { compress: 'delayed' }],
  ['copytruncate', { copytruncate: true }],
] as const)('%s, time and again while ingest is away: has every row once', async (_, rotation) => {
  const away = Promise.withResolvers<void>();
  const stop = new AbortController();
  const post: typeof ingest.post = async batch => {
    if (ingest.posts() > 0) await away.promise;
    return await ingest.post(batch);
  };
  const options = { follow: true, batchItems: 5, concurrency: 1 };
  const fed = feedTest({ directory, file: log, post, options, deps: { stop: stop.signal } });
  appendFileSync(log, rows(40));
  await vi.waitFor(() => expect(ingest.posts()).toBe(1), 20_000);
  for (let i = 0; i < 3; i++) {
    rotate(directory, log, rotation);
    // As writers do, later: what a file was last written at orders it.
    await new Promise(resolve => setTimeout(resolve, 20));
    appendFileSync(log, rows(3));
  }
  away.resolve();
  await counted(4);
  stop.abort();
  expect((await fed).books.fault).toBeUndefined();
});

describe('a log that is rotated while nobody feeds it', () => {
  it.each([
    ['create', {}, 1],
    ['create', {}, 3],
    ['copytruncate', { copytruncate: true }, 1],
    ['copytruncate', { copytruncate: true }, 2],
    ['compress', { compress: 'at once' }, 1],
    ['compress', { compress: 'at once' }, 2],
    ['delaycompress', { compress: 'delayed' }, 1],
    ['delaycompress', { compress: 'delayed' }, 3],
  ] as const)('%s, %o, %i times: every row counts once', async (_, rotation, times) => {
    appendFileSync(log, rows(5));
    await feed();
    appendFileSync(log, rows(3));
    for (let i = 0; i < times; i++) {
      rotate(directory, log, rotation);
      appendFileSync(log, rows(2 + i));
    }
    const { books } = await feed();
    expect([books.fault, books.rows]).toEqual([undefined, next - 5 + 1 + times]);
    isAllCounted(2 + times);
    expect((await feed()).sum).toBe('0 rows = 0 accepted + 0 rejected');
    // Each file by its own name, and from the beginning: nothing is new.
    await feed({ restart: true });
    isAllCounted(2 + times);
  });

  it('has what was written to a file that was still empty when it was seen last', async () => {
    await following(async () => {
      appendFileSync(log, rows(5));
      await counted(1);
      rotate(directory, log);
      await new Promise(resolve => setTimeout(resolve, 600));
      appendFileSync(`${log}.1`, rows(1));
      await counted(2);
    });
    appendFileSync(log, rows(3));
    rotate(directory, log);
    appendFileSync(log, rows(2));
    await feed();
    isAllCounted(4);
  });

  it('leaves other files alone while the name still holds what was fed', async () => {
    appendFileSync(log, rows(5));
    await feed();
    for (const other of ['d.log.1', 'd-2.log', 'd.log.old']) writeFileSync(join(directory, other), rows(3));
    appendFileSync(log, rows(1));
    expect((await feed()).books.rows).toBe(2);
  });

  it('counts nothing twice when the renamed file is fed by its new name', async () => {
    appendFileSync(log, rows(5));
    await feed();
    rotate(directory, log);
    await feedTest({
      ...{ directory, file: `${log}.1`, post: ingest.post },
      options: { statePath: join(directory, 'renamed.json') },
    });
    isAllCounted(1);
  });
});
