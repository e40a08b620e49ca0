/** Live events on a page: which of them are live, and what becomes of a stream at whose other end there is nobody. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

interface Live {
  listen(listener: (event: object | undefined, state: string, missedSince?: string) => void): () => void;
  startLive(): void;
  stopLive(): void;
  watchLive(): void;
}
const folder = join(import.meta.dirname, '../../../../query-api/dashboard');
const start = Date.parse('2026-03-01T10:00:00Z');

/** The stream of a browser, from which the test sends. */
class Stream {
  static opened: Stream[] = [];
  readonly url: string;
  isClosed = false;
  onmessage: (message: { lastEventId: string; data: string }) => void = () => undefined;
  readonly #named = new Map<string, () => void>();
  constructor(url: string) {
    this.url = url;
    Stream.opened.push(this);
  }
  addEventListener(name: string, listener: () => void): void {
    this.#named.set(name, listener);
  }
  close(): void {
    this.isClosed = true;
  }
  say(name: string): void {
    this.#named.get(name)?.();
  }
  send(at: number): void {
    const event = { at: new Date(at).toISOString(), kafka: 'up' };
    this.onmessage({ lastEventId: `id-${at}`, data: JSON.stringify(event) });
  }
}

let live: Live;
let heard: string[];
let missed: (string | undefined)[];
let stop: () => void;
const latest = () => Stream.opened.at(-1) as Stream;

beforeEach(async () => {
  vi.useFakeTimers({ now: start });
  Stream.opened = [];
  vi.stubGlobal('EventSource', Stream);
  vi.stubGlobal('document', { hidden: false, addEventListener: () => undefined });
  vi.stubGlobal('dispatchEvent', () => true);
  const clock: { hearTime(earliest: number, latest: number): void } = await import(join(folder, 'clock.js'));
  clock.hearTime(start, start);
  live = await import(join(folder, 'live.js'));
  heard = [];
  missed = [];
  stop = live.listen((event, state, since) => {
    if (heard.at(-1) !== state) heard.push(state);
    if (event !== undefined) missed.push(since);
  });
  live.watchLive();
  live.startLive();
});
afterEach(() => {
  live.stopLive();
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('an event that arrives half a minute after it was made is delayed, and the next one in time is live', () => {
  latest().send(start);
  vi.advanceTimersByTime(1_000);
  latest().send(start - 30_000);
  vi.advanceTimersByTime(1_000);
  latest().send(start - 29_000);
  latest().send(Date.now() - 200);
  expect(heard).toEqual(['live', 'delayed', 'live']);
});

it('a stream that stays silent is opened again, after the last event, and is silent until one arrives', () => {
  latest().send(start);
  vi.advanceTimersByTime(4_500);
  expect(heard).toEqual(['live', 'silent']);
  expect(Stream.opened).toHaveLength(1);
  vi.advanceTimersByTime(30_000);
  expect(Stream.opened.length).toBeGreaterThanOrEqual(2);
  expect(Stream.opened.length).toBeLessThanOrEqual(4);
  expect(Stream.opened.slice(0, -1).every(stream => stream.isClosed)).toBe(true);
  expect(latest().url).toContain(`last_event_id=id-${start}`);
  expect(heard).toEqual(['live', 'silent']);
  latest().send(Date.now());
  expect(heard).toEqual(['live', 'silent', 'live']);
});

it('an event after others that the server could not send any more says since when they were missed', () => {
  latest().send(start);
  latest().say('reset');
  latest().send(start + 1_000);
  latest().send(start + 2_000);
  expect(missed).toEqual([undefined, new Date(start).toISOString(), undefined]);
});
