/** The feeds of tenants beside that of all, over stores that answer at once. */
import type { Readable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { createLiveDeltas } from '../../../../query-api/routes/live/live-deltas.ts';
import { createLiveFeeds, type LiveFeeds } from '../../../../query-api/routes/live/live-feeds.ts';
import type { AdStore } from '../../../../query-api/store/ad-store.ts';
import { eventually } from '../../../support/wait.ts';

let feeds: LiveFeeds | undefined;
afterEach(() => feeds?.[Symbol.asyncDispose]());

const storeOf = (id: string | undefined) =>
  ({ sight: id, tenant: id === undefined ? undefined : { id, adIdPrefixes: [`${id}-`] } }) as AdStore;

function open(maxTenants: number, lingerMs = 100) {
  feeds = createLiveFeeds({
    readOf: store => async () => ({
      ...{ progress: [], restatements: [], pending_late: 0, pending_split: 0, minutes: [] },
      current: { start: store.sight ?? 'all', state: 'provisional', pending_late: 0, pending_split: 0, ads: [] },
      last: { start: '', state: 'provisional', pending_late: 0, pending_split: 0, ads: [] },
    }),
    ...{ logEnds: async () => new Map([[0, 7]]), now: Date.now, log: pino({ level: 'silent' }) },
    ...{ maxClients: 20, maxBufferBytes: 100_000, intervalMs: 30, maxTenants, lingerMs },
  });
  return feeds;
}

/** Of the first event: its id, and whose it is. */
async function firstOf(stream: Readable | undefined) {
  let text = '';
  await eventually('an event', () => {
    text += stream?.read()?.toString() ?? '';
    return text.includes('"current"') && text.includes('\n\n');
  });
  const id = /^id: (.*)$/m.exec(text)?.[1] ?? '';
  return { id, whose: /"current":\{"start":"(\w+)"/.exec(text)?.[1], tenant: /"tenant":(\w+|"\w+")/.exec(text)?.[1] };
}

describe('the live feeds', () => {
  it('are one for each tenant and one for all, each with events and ids of its own', async () => {
    const all = open(8);
    const found = [];
    for (const id of [undefined, 'acme', 'shop']) found.push(await firstOf(all.open(storeOf(id), 'c', undefined)));
    expect(found.map(({ whose, tenant }) => [whose, tenant])).toEqual([
      ['all', 'null'],
      ['acme', '"acme"'],
      ['shop', '"shop"'],
    ]);
    expect(new Set(found.map(({ id }) => id.split('-')[0])).size).toBe(3);
  });

  it('serve at most so many tenants at the same time, and those for all in any case', async () => {
    const all = open(2);
    const first = all.open(storeOf('a'), 'c', undefined);
    expect(all.open(storeOf('b'), 'c', undefined)).toBeDefined();
    expect(all.open(storeOf('c'), 'c', undefined)).toBeUndefined();
    expect(all.open(storeOf(undefined), 'c', undefined)).toBeDefined();
    first?.destroy();
    await eventually('a place', () => all.open(storeOf('c'), 'c', undefined) !== undefined);
  });

  it('leave one tenant a tenth of the listeners of a process', () => {
    const all = open(2);
    const opened = Array.from({ length: 4 }, () => all.open(storeOf('a'), 'c', undefined));
    expect(opened.map(stream => stream !== undefined)).toEqual([true, true, false, false]);
    expect(all.open(storeOf('b'), 'c', undefined)).toBeDefined();
  });
});

it('the clicks of a tenant since the first reading are what its minutes have gained, also when minutes go and come', () => {
  const { seen } = createLiveDeltas();
  const minutes = (counts: Record<string, number>) =>
    Object.entries(counts).map(([start, count]) => ({ start, count }));
  expect(seen(minutes({ a: 100, b: 5 }))).toBe(0);
  expect(seen(minutes({ a: 101, b: 9 }))).toBe(5);
  expect(seen(minutes({ b: 9, c: 3 }))).toBe(8);
  // A restatement that takes clicks away is no click.
  expect(seen(minutes({ b: 2, c: 4 }))).toBe(9);
});
