import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { askedBy, currentAsker } from '../../../../infra/asking.ts';
import { Retryable } from '../../../../infra/errors.ts';
import { createLiveFeed, type LiveFeed, type LiveFeedDeps } from '../../../../query-api/routes/live/live-feed.ts';
import type { LiveReading } from '../../../../query-api/routes/live/live-reading.ts';

const reading: LiveReading = {
  progress: [],
  restatements: [],
  pending_late: 0,
  pending_split: 0,
  minutes: [],
  current: { start: '', state: 'provisional', pending_late: 0, pending_split: 0, ads: [] },
  last: { start: '', state: 'provisional', pending_late: 0, pending_split: 0, ads: [] },
};

let feed: LiveFeed | undefined;
afterEach(() => feed?.[Symbol.asyncDispose]());

function open(deps: Partial<LiveFeedDeps> = {}) {
  let reads = 0;
  feed = createLiveFeed({
    read: async () => {
      reads += 1;
      return reading;
    },
    logEnds: async () => new Map([[0, 7]]),
    now: Date.now,
    log: pino({ level: 'silent' }),
    maxClients: 5,
    maxBufferBytes: 100_000,
    intervalMs: 30,
    lingerMs: 200,
    run: 'run',
    tenant: undefined,
    ...deps,
  });
  return { feed, reads: () => reads };
}

/** Reads until `count` messages have come. */
async function messages(stream: Readable | undefined, count: number): Promise<Record<string, string>[]> {
  let text = '';
  const found = () =>
    text
      .split('\n\n')
      .slice(0, -1)
      .map(block => Object.fromEntries(block.split('\n').map(line => line.split(/: (.*)/s).slice(0, 2))))
      .filter(fields => 'data' in fields);
  stream?.on('data', chunk => {
    text += chunk;
  });
  while (stream && found().length < count) await once(stream, 'data');
  stream?.removeAllListeners('data');
  return found();
}

describe('the live feed', () => {
  it('reads once, however many clients listen', async () => {
    const { feed, reads } = open({ maxClients: 1_000, intervalMs: 300 });
    const streams = Array.from({ length: 1_000 }, () => feed.open('a', undefined));
    const all = await Promise.all(streams.map(stream => messages(stream, 1)));
    expect(new Set(all.map(([first]) => first?.['id'])).size).toBe(1);
    expect(reads()).toBeLessThan(1_000);
  });

  it('reads nothing before anybody listens, and stops some time after the last has left', async () => {
    const { feed, reads } = open();
    expect(reads()).toBe(0);
    const stream = feed.open('a', undefined);
    await messages(stream, 1);
    stream?.destroy();
    await sleep(400);
    const until = reads();
    await sleep(150);
    expect(reads()).toBe(until);
  });

  it('continues after the last event that a client received', async () => {
    const { feed } = open();
    const stream = feed.open('a', undefined);
    const [first] = await messages(stream, 3);
    const back = feed.open('a', first?.['id']);
    const [second, third] = await messages(back, 2);
    expect([second?.['id'], third?.['id']]).toEqual([2, 3].map(n => first?.['id']?.replace(/\d+$/, String(n))));
  });

  it('continues for who listens after the process has stood still for longer than it stays without listeners', async () => {
    let stoodStillMs = 0;
    const { feed } = open({ clock: () => performance.now() + stoodStillMs });
    const stream = feed.open('a', undefined);
    await messages(stream, 1);
    stoodStillMs = 60_000;
    expect(await messages(stream, 2)).toHaveLength(2);
  });

  it('goes on at its pace when the clock is put back by days', async () => {
    let stepMs = 0;
    const { feed, reads } = open({
      now: () => Date.now() + stepMs,
      read: async () => {
        stepMs = -3 * 86_400_000;
        return reading;
      },
    });
    expect(reads()).toBe(0);
    expect(await messages(feed.open('a', undefined), 3)).toHaveLength(3);
  });

  it('says to a client that it has missed something when its last event is not known', async () => {
    const { feed } = open();
    await messages(feed.open('a', undefined), 1);
    const [reset, next] = await messages(feed.open('a', 'long-1'), 2);
    expect(reset).toMatchObject({ event: 'reset' });
    expect(next?.['id']).toMatch(/-\d+$/);
  });

  it('accepts no more listeners than the limit, and the next one as soon as one has left', async () => {
    const { feed } = open({ maxClients: 1 });
    const stream = feed.open('a', undefined);
    expect(feed.open('a', undefined)).toBeUndefined();
    stream?.destroy();
    await sleep(5);
    expect(feed.open('a', undefined)).toBeDefined();
  });

  it('says to its listeners that it closes, and sends nothing after that', async () => {
    const { feed } = open();
    const stream = feed.open('a', undefined);
    await messages(stream, 1);
    const rest = stream?.toArray();
    await feed[Symbol.asyncDispose]();
    expect(String((await rest)?.at(-1))).toBe('event: closing\ndata: {"reason":"stopping"}\n\n');
    expect(feed.open('a', undefined)).toBeUndefined();
  });

  it('says that Kafka is away, and continues', async () => {
    const { feed } = open({ logEnds: async () => undefined });
    const [message] = await messages(feed.open('a', undefined), 1);
    expect(JSON.parse(message?.['data'] ?? '')).toMatchObject({ kafka: 'away', lag_records: null });
  });

  it('never waits for Kafka after its first answer', async () => {
    let asked = 0;
    const logEnds = () => (asked++ === 0 ? Promise.resolve(new Map([[0, 7]])) : new Promise<never>(() => undefined));
    const { feed } = open({ logEnds });
    const [, , third] = await messages(feed.open('a', undefined), 3);
    expect(JSON.parse(third?.['data'] ?? '')).toMatchObject({ kafka: 'up' });
  });

  it('says that the database is away, and continues when it is back', async () => {
    let reads = 0;
    const read = async () => {
      reads += 1;
      if (reads < 3) throw new Retryable('away');
      return reading;
    };
    const found = await messages(open({ read }).feed.open('a', undefined), 3);
    expect(found.map(({ event, id }) => event ?? id?.replace(/.*-/, ''))).toEqual(['unavailable', 'unavailable', '1']);
  });

  it('reads on behalf of nobody, so it does not end with its first listener', async () => {
    const askers: unknown[] = [];
    const read = async () => {
      askers.push(currentAsker());
      return reading;
    };
    const { feed } = open({ read });
    const first = { signal: new AbortController().signal, client: 'a', isOperation: false };
    await messages(
      askedBy(first, () => feed.open('a', undefined)),
      2,
    );
    expect(new Set(askers)).toEqual(new Set([undefined]));
  });

  it('ends all streams when it is closed', async () => {
    const { feed } = open();
    const stream = feed.open('a', undefined);
    stream?.resume();
    await feed[Symbol.asyncDispose]();
    if (stream && !stream.readableEnded) await once(stream, 'end');
    expect(feed.open('a', undefined)).toBeUndefined();
  });
});
