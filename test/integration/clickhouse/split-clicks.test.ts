/** Which clicks of split ads wait for a restatement, found in the rows of a real ClickHouse whatever jobs there are. */
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { judgedColumns } from '../../../aggregator/ad-minute.ts';
import { migrate } from '../../../infra/migrate.ts';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { noRules } from '../../../ingest/validity/rules.ts';
import { createSplitClicks } from '../../../query-api/store/split-clicks.ts';
import type { SplitRules } from '../../../query-api/store/split-minutes.ts';
import { judgedLinesOf } from '../../support/counted-clicks.ts';
import {
  end,
  type How,
  insertCounted,
  persons,
  splitClicksIn,
  splitRules,
  start,
  together,
} from '../../support/split-ads.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const none = noRules.rules;

let engine: TemporaryClickHouse;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, pino({ level: 'silent' }));
  await engine.clickhouse.command('SYSTEM STOP MERGES');
});
beforeEach(async () => {
  for (const table of ['click_raw', 'ad_minute', 'ad_minute_by_ad', 'recounted_minute'])
    await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
});
afterAll(() => engine[Symbol.asyncDispose]());

const counted = (clicks: readonly Click[], how?: How) => insertCounted(engine.clickhouse, clicks, how);
const waiting = (finalUntil: number | null = end, rules: SplitRules = splitRules) =>
  splitClicksIn(engine.clickhouse, finalUntil, rules);

describe('clicks of split ads', () => {
  it('wait in final minutes that have valid ones in several partitions, under a version with caps', async () => {
    const all = persons(start);
    const stated = await counted(all);
    const tooFew = together(all).invalid - stated;
    expect(tooFew).toBeGreaterThan(0);
    const found = await waiting();
    expect(found.minutes).toEqual([start]);
    // It is the most by which the number can change, and in fact it changes by less.
    expect(found.clicks).toBeGreaterThanOrEqual(tooFew);
    expect(found.clicks).toBeLessThan(all.length - stated);
    const range = { from: start, to: end };
    expect([found.of([])(range), found.of(['hot'])(range), found.of(['other'])(range)]).toEqual([
      found.clicks,
      found.clicks,
      0,
    ]);
    expect(found.of([])({ from: start - minuteMs, to: start })).toBe(0);
    // No earlier moment knows of it.
    expect((await waiting(start)).minutes).toEqual([]);
    expect((await waiting(null)).minutes).toEqual([]);
  });

  it.each([
    ['of which no ad is split', { isSplit: false }],
    ['that were counted by no rules', { by: 0, rules: none }],
    ['that were counted by rules without caps', { by: 1, rules: none }],
  ])('do not wait in minutes %s', async (_, how) => {
    await counted(persons(start), how);
    expect((await waiting()).minutes).toEqual([]);
  });

  it('do not wait where those of all partitions but one are invalid', async () => {
    const [one, ...others] = persons(start);
    const cell = { minute: start / 1_000, ad_id: 'hot', country: 'KR', version: 50, duplicates: 0, late: 0, rules: 2 };
    const rows = [
      { ...cell, partition: 0, clicks: 1, invalid: 0, invalid_by: {} },
      {
        ...cell,
        partition: 1,
        clicks: others.length,
        invalid: others.length,
        invalid_by: { known_bot: others.length },
      },
      { ...cell, partition: 2, country: 'DE', clicks: 5, invalid: 0, invalid_by: {} },
    ] as const;
    await engine.clickhouse.insert('click_raw', [one!, ...others].map(formatLine).join('\n'));
    await engine.clickhouse.insert('ad_minute', judgedLinesOf(rows), judgedColumns);
    expect((await waiting()).minutes).toEqual([]);
  });

  it('are those of minutes in which the ad itself was split, whichever minutes a process looks at together', async () => {
    await counted(persons(start));
    await counted(persons(start + minuteMs));
    const rule = splitRules.rules[0]!;
    const turns: SplitRules = {
      ...splitRules,
      rules: [
        { ...rule, from: start - minuteMs, until: end },
        { ...rule, adId: 'other', from: end, until: end + minuteMs },
      ],
    };
    const atOnce = await waiting(end + minuteMs, turns);
    const read = createSplitClicks({ clickhouse: engine.clickhouse, splitRules: turns, now: Date.now });
    for (const until of [start, end]) await read(until);
    const oneByOne = await read(end + minuteMs);
    expect([atOnce.minutes, oneByOne.minutes]).toEqual([[start], [start]]);
    expect(atOnce.clicks).toBe(oneByOne.clicks);
  });

  it('are not known in minutes of which this process has not heard which ads were split', async () => {
    await counted(persons(start));
    const found = await waiting(end, { ...splitRules, rulesKnownUntil: start });
    expect([found.of([])({ from: start, to: end }), found.of([])({ from: start - hourMs, to: start })]).toEqual([
      null,
      0,
    ]);
    const unheard = await waiting(end, { rules: [], versions: [], rulesKnownUntil: Number.NEGATIVE_INFINITY });
    expect(unheard.of([])({ from: start, to: end })).toBeNull();
    expect(unheard.of([])({ from: end, to: end + minuteMs })).toBe(0);
  });

  it('are looked for once in each minute, and after that only as long as some wait', async () => {
    const asked: string[] = [];
    const { clickhouse } = engine;
    const listening = {
      ...clickhouse,
      query: (async (sql: string, ...rest: never[]) => {
        asked.push(/FROM (ad_minute_by_ad|recounted_minute)/.exec(sql)?.[1] ?? sql);
        return await (clickhouse.query as (...all: unknown[]) => Promise<never[]>)(sql, ...rest);
      }) as typeof clickhouse.query,
    };
    const justThen = { ...splitRules, rules: splitRules.rules.map(rule => ({ ...rule, from: start, until: end })) };
    const read = createSplitClicks({ clickhouse: listening, splitRules, now: Date.now, keepMs: 0 });
    await counted(persons(start));
    await read(end);
    expect(asked).toContain('ad_minute_by_ad');
    asked.length = 0;
    expect((await read(end)).minutes).toEqual([start]);
    expect(asked).toEqual(['recounted_minute']);
    await engine.clickhouse.insert(
      'recounted_minute',
      JSON.stringify({ minute: start / 1_000, at: end, job: 'j', cells: 0, read_until: { 0: 1 }, settled: 1 }),
    );
    expect((await read(end)).minutes).toEqual([]);
    asked.length = 0;
    // Whoever begins then finds nothing that is recounted, and reads none of it.
    const begun = createSplitClicks({ clickhouse: listening, splitRules: justThen, now: Date.now });
    expect((await begun(end)).minutes).toEqual([]);
    expect(asked).toEqual(['recounted_minute']);
    asked.length = 0;
    await read(end + 59_999);
    expect(asked).toEqual([]);
    await read(end + minuteMs);
    expect(asked).toEqual(['recounted_minute', 'ad_minute_by_ad']);
    // Nothing at all where no ad is split, or rules have no caps.
    asked.length = 0;
    for (const of of [
      { ...splitRules, rules: [] },
      { ...splitRules, versions: splitRules.versions.slice(0, 1) },
    ])
      await createSplitClicks({ clickhouse: listening, splitRules: of, now: Date.now })(end);
    expect(asked).toEqual([]);
  });
});
