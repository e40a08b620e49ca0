import { appendFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Retryable } from '../../../../infra/errors.ts';
import { type FeedDeps, feedFile } from '../../../../ingest/feed/feed.ts';
import type { FeedOptions } from '../../../../ingest/feed/options.ts';
import { unpaced } from '../../../../ingest/feed/pace.ts';
import type { Post } from '../../../../ingest/feed/poster.ts';

let dir = '';
let log = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'feed-'));
  log = join(dir, 'clicks.ndjson');
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

/** Counts what ingest would count: distinct event_ids. */
function fakeIngest() {
  const events = new Map<string, string>();
  let posts = 0;
  const post: Post = lines => {
    posts++;
    const clicks: { ad_id: string; event_id: string }[] = lines.map(line => JSON.parse(line));
    const rejected = clicks.flatMap(({ ad_id }, index) =>
      ad_id === 'bad' ? [{ index, code: 'invalid_field', message: 'ad_id: bad' }] : [],
    );
    for (const { event_id, ad_id } of clicks) if (ad_id !== 'bad') events.set(event_id, ad_id);
    return Promise.resolve({ accepted: clicks.length - rejected.length, rejected });
  };
  return { post, ads: () => [...events.values()], posts: () => posts };
}

function feed(post: Post, options: Partial<FeedOptions> = {}, deps: Partial<FeedDeps> = {}) {
  return feedFile(log, {
    options: {
      url: 'http://ingest',
      format: undefined,
      columnOf: {},
      delimiter: undefined,
      isExport: false,
      follow: false,
      clicksPerSecond: undefined,
      replaySpeed: undefined,
      batchItems: 10,
      concurrency: 3,
      statePath: join(dir, 'state.json'),
      restart: false,
      rejectsPath: undefined,
      giveUpAfterMs: 1_000,
      ...options,
    },
    post,
    pace: unpaced(),
    stop: new AbortController().signal,
    isTerminal: false,
    onView: () => undefined,
    ...deps,
  });
}

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `{"ad_id":"ad-${from + i}","clicked_at":5}\n`).join('');
const ads = (count: number) => Array.from({ length: count }, (_, i) => `ad-${i}`);

describe('feedFile', () => {
  it('posts every row once and goes on behind the last when fed again', async () => {
    await writeFile(log, lines(0, 95));
    const ingest = fakeIngest();
    expect(await feed(ingest.post)).toEqual({ accepted: 95, rejected: 0, resumedAt: 0 });
    await appendFile(log, lines(95, 100));
    expect(await feed(ingest.post)).toMatchObject({ accepted: 5 });
    expect(ingest.ads()).toEqual(ads(100));
  });

  it('counts nothing twice when a file is fed again from the start', async () => {
    await writeFile(log, lines(0, 50));
    const ingest = fakeIngest();
    await feed(ingest.post);
    expect(await feed(ingest.post, { restart: true })).toMatchObject({ accepted: 50 });
    expect(ingest.ads()).toEqual(ads(50));
  });

  it('loses and doubles nothing when it breaks off anywhere', async () => {
    await writeFile(log, lines(0, 100));
    const ingest = fakeIngest();
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
    const state = JSON.parse(await readFile(join(dir, 'state.json'), 'utf8'));
    expect([state.line, state.offset]).toEqual([10, Buffer.byteLength(lines(0, 10))]);
  });

  it('posts nothing more once a batch has failed', async () => {
    await writeFile(log, lines(0, 35));
    let calls = 0;
    const fails: Post = () => {
      calls++;
      return Promise.reject(new Retryable('gone'));
    };
    await expect(feed(fails, { concurrency: 1 })).rejects.toThrow('gone');
    await new Promise(resolve => setTimeout(resolve, 500));
    expect(calls).toBe(1);
  });

  it('begins anew when another file bears the name', async () => {
    await writeFile(log, lines(0, 20));
    const ingest = fakeIngest();
    await feed(ingest.post);
    await writeFile(log, lines(20, 60));
    expect(await feed(ingest.post)).toEqual({ accepted: 40, rejected: 0, resumedAt: 0 });
  });

  it('reports rejected rows with their line, its own and those of ingest, in the order of the file', async () => {
    await writeFile(
      log,
      `{"ad_id":"a","clicked_at":5}\nnonsense\n\n{"ad_id":"bad","clicked_at":5}\n{"ad_id":"b","event_id":"e"}\n`,
    );
    const rejectsPath = join(dir, 'rejects.ndjson');
    const said: string[] = [];
    vi.mocked(process.stderr.write).mockImplementation(text => said.push(String(text)) > 0);
    expect(await feed(fakeIngest().post, { rejectsPath })).toMatchObject({ accepted: 1, rejected: 3 });
    const rejected = (await readFile(rejectsPath, 'utf8'))
      .trim()
      .split('\n')
      .map(text => JSON.parse(text));
    expect(rejected.map(({ line, code }) => [line, code])).toEqual([
      [2, 'unreadable'],
      [4, 'invalid_field'],
      [5, 'missing_field'],
    ]);
    expect(said.join('')).toContain(`${log}:4: ad_id: bad`);
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

  it('follows a growing file through a rotation', async () => {
    await writeFile(log, lines(0, 5));
    const ingest = fakeIngest();
    const stop = new AbortController();
    const fed = feed(ingest.post, { follow: true }, { stop: stop.signal });
    await vi.waitFor(() => expect(ingest.ads()).toHaveLength(5), 5_000);
    await appendFile(log, lines(5, 8));
    await vi.waitFor(() => expect(ingest.ads()).toHaveLength(8), 5_000);
    await rename(log, `${log}.1`);
    await writeFile(log, lines(8, 12));
    await vi.waitFor(() => expect(ingest.ads()).toHaveLength(12), 5_000);
    stop.abort();
    expect(await fed).toMatchObject({ accepted: 12 });
    expect(ingest.ads()).toEqual(ads(12));
  });
});
