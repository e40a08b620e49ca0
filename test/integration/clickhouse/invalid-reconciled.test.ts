/**
 * The second statement of the rules of invalid clicks, in SQL, against the core: random clicks and rules, on a real
 * ClickHouse. Where one of the two is wrong, a reconciliation reports a difference.
 */
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AdMinuteRow, type InvalidBy, judgedColumns } from '../../../aggregator/ad-minute.ts';
import { freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import { PartitionAggregator } from '../../../aggregator/core/partition-aggregator.ts';
import { Retryable } from '../../../infra/errors.ts';
import { migrate } from '../../../infra/migrate.ts';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { formOf, tokenOf } from '../../../ingest/privacy/erasure-record.ts';
import { facts } from '../../../ingest/validity/facts.ts';
import { noRules, type RuleSet, type RulesAt, type ValidityRules } from '../../../ingest/validity/rules.ts';
import { createInvalidComparison, type InvalidCompared } from '../../../query-api/store/jobs/sql-invalid.ts';
import { click, minute0 } from '../../support/clicks.ts';
import { sumOf } from '../../support/judged-clicks.ts';
import { rowsOf } from '../../support/outputs.ts';
import { inMinutes, judgedFields, manyJudgedClicks, twoRuleSets } from '../../support/random-judged-clicks.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

const minuteMs = 60_000;
const runs = 25;
let engine: TemporaryClickHouse;

/** Each case has two minutes of its own, that are earlier than those of the next one. */
let cases = 0;
const firstCase = Date.now() - (Date.now() % 86_400_000) - 2 * 86_400_000;
const nextShift = () => firstCase + 2 * minuteMs * cases++ - minute0;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, pino({ level: 'silent' }));
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

/** The last row of each cell, as the core counts the clicks in this order. */
function counted(clicks: readonly Click[], rulesAt: RulesAt, partition = 0): AdMinuteRow[] {
  const settings = { partition, outOfOrdernessMs: 120_000, allowedLatenessMs: 60_000, hashSeed: 7, rulesAt };
  const aggregator = new PartitionAggregator(settings, freshCheckpoint(0));
  for (const [i, one] of clicks.entries()) aggregator.process(i, Date.now(), Buffer.from(formatLine(one)));
  return rowsOf(aggregator.drain());
}

async function store(clicks: readonly Click[], rows: readonly AdMinuteRow[]): Promise<void> {
  const given = rows.map(({ rules, invalid, invalid_by, ...row }) =>
    JSON.stringify({ ...row, rules_given: rules, invalid_given: invalid, invalid_by_given: invalid_by }),
  );
  await engine.clickhouse.insert('click_raw', clicks.map(formatLine).join('\n'));
  if (given.length > 0) await engine.clickhouse.insert('ad_minute', given.join('\n'), judgedColumns);
}

const compared = async (shift: number, sets: readonly RuleSet[], idsPerAdFrom = 0) => {
  const setOf = (version: number) => sets.find(set => set.version === version);
  const comparison = createInvalidComparison({
    ...{ clickhouse: engine.clickhouse, idsPerAdFrom: async () => idsPerAdFrom, rules: async () => setOf },
  });
  return await comparison.compare({ from: minute0 + shift, to: minute0 + shift + 2 * minuteMs });
};
const moved = (clicks: readonly Click[], shift: number) =>
  clicks.map(one => ({ ...one, clickedAt: one.clickedAt + shift, receivedAt: one.receivedAt + shift }));
const differencesOf = (results: readonly InvalidCompared[]) =>
  results.flatMap(({ reasons, ads, minutes }) => (reasons.length > 0 ? [{ reasons, ads, minutes }] : []));

describe('SQL and the core', () => {
  it('say the same of any clicks by any rules', async () => {
    let judged = 0;
    await fc.assert(
      fc.asyncProperty(manyJudgedClicks, twoRuleSets, async (given, sets) => {
        const shift = nextShift();
        const clicks = moved(given, shift);
        const rows = counted(clicks, minute => inMinutes(sets)(minute - shift));
        await store(clicks, rows);
        const results = await compared(shift, sets);
        expect(differencesOf(results)).toEqual([]);
        expect(results.reduce((sum, { cells }) => sum + cells, 0)).toBe(rows.length);
        expect(results.map(({ split, unsure }) => split + unsure)).toEqual(results.map(() => 0));
        judged += rows.reduce((sum, { invalid }) => sum + invalid, 0);
      }),
      { numRuns: runs },
    );
    expect(judged).toBeGreaterThan(10 * runs);
  });

  it('differ by no more than the clicks whose copies say different things, whichever copy was counted', async () => {
    const copies = fc
      .array(fc.tuple(judgedFields, judgedFields, fc.boolean()), { minLength: 20, maxLength: 60 })
      .map(all =>
        all.flatMap(([fields, others, isTorn]) => {
          const one = click(fields);
          return isTorn ? [one, { ...click(others), adId: one.adId, eventId: one.eventId }] : [one];
        }),
      )
      .chain(clicks => fc.shuffledSubarray(clicks, { minLength: clicks.length }));
    let unsure = 0;
    await fc.assert(
      fc.asyncProperty(copies, twoRuleSets, async (given, sets) => {
        const shift = nextShift();
        const clicks = moved(given, shift);
        await store(
          clicks,
          counted(clicks, minute => inMinutes(sets)(minute - shift)),
        );
        const results = await compared(shift, sets);
        expect(differencesOf(results)).toEqual([]);
        unsure += results.reduce((sum, result) => sum + result.unsure, 0);
      }),
      { numRuns: runs },
    );
    expect(unsure).toBeGreaterThan(0);
  });

  it('agree as far as can be told about an ad that was split, whose partitions apply caps by themselves', async () => {
    let split = 0;
    await fc.assert(
      fc.asyncProperty(manyJudgedClicks, twoRuleSets, async (given, sets) => {
        const shift = nextShift();
        const clicks = moved(given, shift);
        const parts = Map.groupBy(clicks, one => Number(one.eventId.slice(1)) % 2);
        const rows = [...parts].flatMap(([partition, of]) =>
          counted(of, minute => inMinutes(sets)(minute - shift), partition),
        );
        await store(clicks, rows);
        const results = await compared(shift, sets);
        expect(differencesOf(results)).toEqual([]);
        split += results.reduce((sum, result) => sum + result.split, 0);
      }),
      { numRuns: runs },
    );
    expect(split).toBeGreaterThan(0);
  });
});

/** Five clicks of a person in five steps, and two robots. By `rules`: 2 valid ones. */
const rules: ValidityRules = { ...noRules.rules, known_bot: true, user_clicks_per_minute: 2 };
const sets = [{ version: 4, rules }];
const right: InvalidBy = { known_bot: 2, user_velocity: 3 };

async function cellThatSays(said: Partial<AdMinuteRow>, more: Partial<Click> = {}): Promise<number> {
  const shift = nextShift();
  const person = { adId: 'a', userId: 'u', ip: '203.0.113.7' };
  const clicks = Array.from({ length: 7 }, (_, i) =>
    click({ ...person, clickedAt: minute0 + 2_000 * i, ...(i < 2 ? { facts: facts.bot.bit } : more) }),
  );
  const rows = counted(moved(clicks, shift), () => sets[0]!);
  expect(rows).toMatchObject([{ invalid: 5, invalid_by: right }]);
  await store(
    moved(clicks, shift),
    rows.map(row => ({ ...row, ...said })),
  );
  return shift;
}

const saying = (invalid_by: InvalidBy) => ({ invalid_by, invalid: sumOf(invalid_by) });

describe('a difference', () => {
  it('of a link that robots have loaded from two addresses is one, because no cap looks at these', async () => {
    const shift = nextShift();
    const from = { ip: '203.0.113.7', userAgent: 'Scanner/1' };
    const robot = click({ ...from, adId: 'a', eventId: 'link', clickedAt: minute0, facts: facts.bot.bit });
    const loads = moved([robot, { ...robot, clickId: 'other', ip: '203.0.113.8', receivedAt: 1 }], shift);
    const rows = counted(loads, () => sets[0]!);
    expect(rows).toMatchObject([{ clicks: 1, invalid: 1 }]);
    await store(
      loads,
      rows.map(row => ({ ...row, ...saying({}) })),
    );
    const [found] = await compared(shift, sets);
    expect(found).toMatchObject({ cells: 1, differing: 1, unsure: 0 });
    expect(found?.reasons).toEqual([{ reason: 'known_bot', cells: 1, counted: 0, raw: 1, off: 1 }]);
  });

  it.each<[string, InvalidBy, object[]]>([
    [
      'one reason taken for another',
      { known_bot: 2, address_velocity: 3 },
      [
        { reason: 'address_velocity', cells: 1, counted: 3, raw: 0, off: 3 },
        { reason: 'user_velocity', cells: 1, counted: 0, raw: 3, off: 3 },
      ],
    ],
    [
      'one too few',
      { known_bot: 1, user_velocity: 3 },
      [{ reason: 'known_bot', cells: 1, counted: 1, raw: 2, off: 1 }],
    ],
    [
      'nothing',
      {},
      [
        { reason: 'user_velocity', raw: 3 },
        { reason: 'known_bot', raw: 2 },
      ],
    ],
  ])('is reported by reason, with ad and minute: %s', async (_what, said, expected) => {
    const shift = await cellThatSays(saying(said));
    const [found] = await compared(shift, sets);
    expect(found).toMatchObject({ cells: 1, differing: 1, minutes: [minute0 + shift] });
    expect(found?.reasons).toMatchObject(expected);
    expect(found?.ads.map(({ ad_id, reason }) => [ad_id, reason])).toEqual(
      found?.reasons.map(({ reason }) => ['a', reason]),
    );
  });

  it('is reported where the total is not the sum of the reasons', async () => {
    const shift = await cellThatSays({ invalid: 4 });
    expect((await compared(shift, sets))[0]?.reasons).toEqual([
      { reason: 'all', cells: 1, counted: 4, raw: 5, off: 1 },
    ]);
  });

  it('is reported where a minute without rules has invalid clicks', async () => {
    const shift = await cellThatSays({ rules: 0 });
    expect((await compared(shift, sets))[0]?.reasons).toMatchObject([
      { reason: 'user_velocity', counted: 3, raw: 0 },
      { reason: 'known_bot', counted: 2, raw: 0 },
    ]);
  });

  it('is reported of a split ad where more is invalid than by the rules, or a fact is missing', async () => {
    const more = await cellThatSays(saying({ known_bot: 2, user_velocity: 4 }));
    const fewer = await cellThatSays(saying({ known_bot: 1, user_velocity: 3 }));
    for (const shift of [more, fewer]) {
      const other = {
        partition: 1,
        version: 1,
        clicks: 1,
        duplicates: 0,
        late: 0,
        rules: 4,
        invalid: 0,
        invalid_by: {},
      };
      await store([], [{ minute: (minute0 + shift) / 1_000, ad_id: 'a', country: 'KR', ...other }]);
    }
    expect((await compared(more, sets))[0]).toMatchObject({
      split: 1,
      reasons: [{ reason: 'all', counted: 6, raw: 5 }],
    });
    expect((await compared(fewer, sets))[0]).toMatchObject({
      split: 1,
      reasons: [{ reason: 'known_bot', counted: 1 }],
    });
  });

  it('is not reported as long as the clicks of an erased person can explain it', async () => {
    const erased = { ip: 'fd3a:91c2:7be4:a05d:11f8:c6e9:2d7b:840f', userId: tokenOf('a secret', formOf('u')) };
    const within = await cellThatSays(saying({ known_bot: 2, user_velocity: 8 }), erased);
    const beyond = await cellThatSays(saying({ known_bot: 2, user_velocity: 9 }), erased);
    expect((await compared(within, sets))[0]).toMatchObject({ unsure: 1, differing: 0 });
    expect((await compared(beyond, sets))[0]).toMatchObject({ unsure: 1, differing: 1 });
  });

  it('is not looked for before ids were per ad, nor in minutes without rules, nor by rules that are not known here', async () => {
    const shift = await cellThatSays(saying({}));
    expect(await compared(shift, sets, minute0 + shift + minuteMs)).toEqual([]);
    const unjudged = await cellThatSays({ rules: 0, ...saying({}) });
    expect(await compared(unjudged, sets)).toEqual([]);
    await expect(compared(shift, [])).rejects.toThrow(Retryable);
  });
});
