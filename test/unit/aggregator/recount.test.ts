import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { notJudged } from '../../../aggregator/ad-minute.ts';
import { Recount } from '../../../aggregator/replay/recount.ts';
import { type CellChange, type StatedRow, versionOf } from '../../../aggregator/restatement.ts';
import { type Click, formatLine, partitionOf } from '../../../ingest/click.ts';
import { facts } from '../../../ingest/validity/facts.ts';
import { type RuleSet, recommendedRules } from '../../../ingest/validity/rules.ts';
import { click, minute0 } from '../../support/clicks.ts';

const partitions = 4;
const minuteMs = 60_000;

/** As ClickHouse hands them out: sorted by its key. */
function pages(clicks: readonly Click[], pageLines: number): Uint8Array[] {
  const key = (c: Click) => `${Math.floor(c.clickedAt / minuteMs)} ${c.adId} ${c.clickId}`;
  const lines = clicks.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)).map(c => `${formatLine(c)}\n`);
  const cut = [];
  for (let i = 0; i < lines.length; i += pageLines) cut.push(Buffer.from(lines.slice(i, i + pageLines).join('')));
  return cut;
}

function recount(
  clicks: readonly Click[],
  stated: readonly StatedRow[],
  pageLines = 7,
  idsPerAdFrom: readonly number[] = [],
): CellChange[] {
  const counting = new Recount({ partitions, idsPerAdFrom, hashSeed: 5 });
  const changes: CellChange[] = [];
  let settled = Number.NEGATIVE_INFINITY;
  const settle = (until: number) => {
    const due = stated.filter(row => row.minute * 1_000 >= settled && row.minute * 1_000 < until);
    changes.push(...counting.compare(until, due));
    settled = until;
  };
  for (const page of pages(clicks, pageLines)) {
    counting.feed(page);
    if (counting.minute > settled) settle(counting.minute);
  }
  settle(Number.POSITIVE_INFINITY);
  return changes;
}

const stated = (fields: Partial<StatedRow> = {}): StatedRow => ({
  minute: minute0 / 1_000,
  ad_id: 'ad_1',
  country: 'KR',
  partition: partitionOf(fields.ad_id ?? 'ad_1', partitions),
  revision: 0,
  clicks: 0,
  duplicates: 0,
  late: 0,
  ...notJudged,
  ...fields,
});

const elsewhere = (partitionOf('ad_1', partitions) + 1) % partitions;

const meets = (ad: string, partitions: number) => partitionOf(ad, partitions) === partitionOf('ad_0', partitions);

describe('a recount', () => {
  it('tells each line once, with its own minute, however the pages are cut', () => {
    const clicks = [0, 0, 0, 1, 3, 3].map(n => click({ clickedAt: minute0 + n * 60_000 }));
    for (let pageLines = 1; pageLines <= clicks.length; pageLines++) {
      const counting = new Recount({ partitions, hashSeed: 5 });
      const told: number[] = [];
      for (const page of pages(clicks, pageLines)) {
        counting.feed(page);
        // A minute that is half read is none of those before it.
        const open = counting.minute;
        const before = clicks.filter(({ clickedAt }) => clickedAt < open).length;
        told.push(counting.drainLines(open));
        expect(told.reduce((a, b) => a + b)).toBe(before);
      }
      told.push(counting.drainLines(Number.POSITIVE_INFINITY), counting.drainLines(Number.POSITIVE_INFINITY));
      expect([told.reduce((a, b) => a + b), told.at(-1)]).toEqual([6, 0]);
    }
  });

  it('finds nothing where the counts are right, and replaces them where they are not', () => {
    const clicks = [click(), click(), click({ country: 'DE' })];
    const right = [stated({ clicks: 2 }), stated({ country: 'DE', clicks: 1 })];
    expect(recount(clicks, right)).toEqual([]);
    const [change, ...others] = recount(clicks, [stated({ clicks: 1, late: 1 }), stated({ country: 'DE', clicks: 1 })]);
    expect(others).toEqual([]);
    expect(change).toMatchObject({ country: 'KR', before: 1, after: 2, revision: 1 });
    expect(change?.rows).toEqual([{ partition: partitionOf('ad_1', partitions), clicks: 2, duplicates: 0, late: 2 }]);
  });

  it('counts copies of a click once, and says how many there were', () => {
    const one = click();
    const copies = [
      one,
      { ...one, clickId: '01KZZZZZZZZZZZZZZZZZZZZZZA' },
      { ...one, clickId: '01KZZZZZZZZZZZZZZZZZZZZZZB' },
    ];
    expect(recount(copies, [])).toMatchObject([{ before: 0, after: 1, after_duplicates: 2 }]);
  });

  it('makes a zero of a count without clicks, in every partition that had any', () => {
    const rows = [stated({ clicks: 3 }), stated({ clicks: 2, partition: elsewhere, revision: 4 })];
    const [change] = recount([], rows);
    expect(change).toMatchObject({ before: 5, after: 0, revision: 5 });
    expect(change?.rows.map(row => [row.partition, row.clicks]).sort()).toEqual(
      [
        [partitionOf('ad_1', partitions), 0],
        [elsewhere, 0],
      ].sort(),
    );
  });

  it('takes a count for right whatever partition it was counted in, and moves one that is not to the partition of its ad', () => {
    const clicks = [click(), click()];
    expect(recount(clicks, [stated({ clicks: 2, partition: elsewhere })])).toEqual([]);
    const [change] = recount(clicks, [stated({ clicks: 1, partition: elsewhere })]);
    expect(change?.rows).toEqual([
      { partition: partitionOf('ad_1', partitions), clicks: 2, duplicates: 0, late: 1 },
      { partition: elsewhere, clicks: 0, duplicates: 0, late: 0 },
    ]);
  });

  it('takes an ad that was split over partitions for one, and joins it in its home partition where it is wrong', () => {
    const clicks = Array.from({ length: 7 }, () => click());
    const home = partitionOf('ad_1', partitions);
    const counts = Array.from({ length: partitions }, (_, partition) => (partition === elsewhere ? 4 : 1));
    const spread = counts.map((clicks, partition) => stated({ clicks, partition }));
    expect(recount(clicks, spread)).toEqual([]);
    const [change] = recount([...clicks, click()], spread);
    expect(change).toMatchObject({ before: 7, after: 8 });
    expect(change?.stated).toEqual(counts.map((clicks, partition) => ({ partition, clicks, duplicates: 0 })));
    const rows = change?.rows.map(row => [row.partition, row.clicks]).sort();
    expect(rows).toEqual(counts.map((_, partition) => [partition, partition === home ? 8 : 0]));
  });

  it('compares clicks in the partition that their ad had in that minute, before and after partitions became more', () => {
    const ads = Array.from({ length: 200 }, (_, i) => `ad_${i}`);
    const together = ads.find(ad => ad !== 'ad_0' && meets(ad, 4) && !meets(ad, 12)) ?? '';
    const counting = new Recount({
      partitions: 12,
      idsPerAdFrom: Array.from({ length: 12 }, () => Number.POSITIVE_INFINITY),
      partitionRules: [
        { ruleId: 'base', from: 0, partitions: 4 },
        { ruleId: 'growth', from: minute0 + 60_000, partitions: 12 },
      ],
      hashSeed: 5,
    });
    // Before ids were per ad, one under two ads counted once where they meet: so it shows which partition they have.
    for (const clickedAt of [minute0 + 1, minute0 + 60_001]) {
      const lines = ['ad_0', together].map(adId => formatLine(click({ eventId: `e${clickedAt}`, adId, clickedAt })));
      counting.feed(Buffer.from(`${lines.join('\n')}\n`));
    }
    const changes = counting.compare(minute0 + 120_000, []);
    const found = changes.map(({ minute, ad_id, rows }) => [
      minute * 1_000 - minute0,
      ad_id,
      rows[0]?.partition,
      rows[0]?.clicks,
    ]);
    expect(found.toSorted((a, b) => (`${a}` < `${b}` ? -1 : 1))).toEqual([
      [0, 'ad_0', partitionOf('ad_0', 4), 1],
      [60_000, 'ad_0', partitionOf('ad_0', 12), 1],
      [60_000, together, partitionOf(together, 12), 1],
    ]);
  });

  it('counts an id under each of its ads, and of copies that differ in country one', () => {
    const clicks = ['ad_0', 'ad_1', 'ad_2', 'ad_3'].map(adId => click({ eventId: 'same', adId }));
    expect(recount(clicks, []).map(({ ad_id, after }) => [ad_id, after])).toEqual(
      expect.arrayContaining(clicks.map(({ adId }) => [adId, 1])),
    );
    const other = click({ eventId: 'same', adId: 'ad_0', country: 'DE' });
    const found = recount([clicks[0]!, other], []);
    expect(found.map(({ country, after }) => [country, after])).toEqual([['KR', 1]]);
  });

  it('recounts a minute from before ids were per ad by the rule it was counted by, partition by partition', () => {
    const ads = Array.from({ length: 9 }, (_, i) => `ad_${i}`);
    const together = ads.find(ad => ad !== 'ad_0' && partitionOf(ad, partitions) === partitionOf('ad_0', partitions));
    const apart = ads.find(ad => partitionOf(ad, partitions) !== partitionOf('ad_0', partitions));
    let perAdFrom: number[] = [];
    const same = (...adIds: (string | undefined)[]) =>
      recount(
        adIds.map(adId => click({ eventId: 'same', adId: adId ?? '' })),
        [],
        7,
        perAdFrom,
      ).map(({ after }) => after);
    const home = partitionOf('ad_0', partitions);
    const only = (minute: number) => Array.from({ length: partitions }, (_, p) => (p === home ? minute : 0));
    perAdFrom = only(minute0 + minuteMs);
    expect(same('ad_0', together)).toEqual([1]);
    expect(same('ad_0', apart)).toEqual([1, 1]);
    perAdFrom = only(minute0);
    expect(same('ad_0', together)).toEqual([1, 1]);
  });

  it('does not take a line that is no click for nothing', () => {
    const counting = new Recount({ partitions, hashSeed: 5 });
    expect(() => counting.feed(Buffer.from('{"ad_id":"ad_1"}\n'))).toThrow(/is not a click/);
  });

  it('equals a truth counted apart, for any clicks, copies, ads and pages, and then finds nothing more', () => {
    const any = fc.record({
      id: fc.integer({ min: 0, max: 30 }),
      ad: fc.constantFrom('ad_1', 'ad_2', 'b', 'B', 'x.y:z-1'),
      minute: fc.integer({ min: 0, max: 5 }),
      second: fc.integer({ min: 0, max: 59 }),
      country: fc.constantFrom('KR', 'DE'),
    });
    fc.assert(
      fc.property(
        fc.array(any, { maxLength: 80 }),
        fc.array(any, { maxLength: 20 }),
        fc.integer({ min: 1, max: 30 }),
        (given, wrong, pageLines) => {
          // An id is of one country: of a conflict it depends on the order which one counts (see reconciliation).
          const clicks = given.map(({ id, ad, minute, second, country }) =>
            click({
              eventId: `${country}/${id}`,
              adId: ad,
              country,
              clickedAt: minute0 + minute * minuteMs + second * 1_000,
            }),
          );
          const truth = new Map<string, Set<string>>();
          for (const c of clicks) {
            const key = `${Math.floor(c.clickedAt / minuteMs) * 60} ${c.adId} ${c.country}`;
            truth.set(key, (truth.get(key) ?? new Set()).add(c.eventId));
          }
          const before = new Map(
            wrong.map(({ id, ad, minute, country }) => {
              const row = stated({
                ad_id: ad,
                country,
                minute: minute0 / 1_000 + minute * 60,
                clicks: id,
                partition: id % partitions,
                revision: id % 3,
              });
              return [`${row.minute} ${ad} ${country} ${row.partition}`, row];
            }),
          );
          for (const { minute, ad_id, country, revision, rows } of recount(clicks, [...before.values()], pageLines)) {
            for (const counts of rows) {
              const key = `${minute} ${ad_id} ${country} ${counts.partition}`;
              expect(revision).toBeGreaterThan(before.get(key)?.revision ?? 0);
              before.set(key, { minute, ad_id, country, revision, ...counts, ...notJudged });
            }
          }
          const after = new Map<string, number>();
          for (const { minute, ad_id, country, clicks: n } of before.values()) {
            const key = `${minute} ${ad_id} ${country}`;
            after.set(key, (after.get(key) ?? 0) + n);
          }
          expect(new Map([...after].filter(([, n]) => n > 0))).toEqual(
            new Map([...truth].map(([key, ids]) => [key, ids.size])),
          );
          expect(recount(clicks, [...before.values()], pageLines)).toEqual([]);
        },
      ),
    );
  });
});

describe('the version of a restated row', () => {
  it('is above any offset, above any earlier revision, and exact in JSON', () => {
    const at = Date.parse('2100-01-01T00:00:00Z');
    expect(BigInt(versionOf(1, 0))).toBeGreaterThan(BigInt(2 ** 47));
    expect(BigInt(versionOf(2, 0))).toBeGreaterThan(BigInt(versionOf(1, at)));
    expect(BigInt(versionOf(65_535, at)) >> 48n).toBe(65_535n);
    expect(versionOf(40, 3)).toMatch(/^\d+$/);
  });
});

describe('a recount by rules', () => {
  const set = (version: number): RuleSet => ({ version, rules: { ...recommendedRules, user_clicks_per_minute: 2 } });
  const person = { userId: 'u', ip: '203.0.113.7' };
  const clicks = [0, 10, 20, 30].map(s => click({ clickedAt: minute0 + s * 1_000, ...person }));
  const bot = click({ facts: facts.bot.bit });
  const recountBy = (rules: RuleSet, before: Partial<StatedRow>) => {
    const counting = new Recount({ partitions, hashSeed: 5 });
    counting.judgeBy([{ from: minute0, set: rules }]);
    for (const page of pages([...clicks, bot], 7)) counting.feed(page);
    return counting.compare(Number.POSITIVE_INFINITY, [stated({ clicks: 5, ...before })]);
  };
  const found = { invalid: 3, invalid_by: { known_bot: 1, user_velocity: 2 } };

  it('finds the same as was stated by the same rules', () => {
    expect(recountBy(set(2), { rules: 2, ...found })).toEqual([]);
  });

  it('finds a change where the clicks agree and other ones are invalid, or by other reasons', () => {
    const other = { rules: 2, invalid: 3, invalid_by: { known_bot: 2, user_velocity: 1 } };
    expect(recountBy(set(2), other)).toMatchObject([
      {
        ...{ before: 5, after: 5, before_invalid_by: other.invalid_by, after_invalid_by: found.invalid_by },
        ...{ stated_judged: [other], rows_judged: [{ rules: 2, ...found }] },
      },
    ]);
  });

  it('writes a cell anew that another version judges, also where nothing else changes: a minute has one version', () => {
    expect(recountBy(set(3), { rules: 2, ...found })).toMatchObject([{ before_rules: 2, after_rules: 3 }]);
    expect(recountBy(set(1), {})).toMatchObject([{ before_rules: 0, before_invalid: 0, after_invalid: 3 }]);
  });

  it('changes a cell whose clicks are as many and better, because a person came late to a link that a robot had loaded', () => {
    const late = { ...bot, facts: undefined, clickId: '7ZZZZZZZZZZZZZZZZZZZZZZZZZ', country: 'US' };
    const counting = new Recount({ partitions, hashSeed: 5 });
    counting.judgeBy([{ from: minute0, set: set(2) }]);
    for (const page of pages([bot, late], 7)) counting.feed(page);
    const robotAlone = stated({ clicks: 1, rules: 2, invalid: 1, invalid_by: { known_bot: 1 } });
    const inOther = stated({ country: 'US', clicks: 0, duplicates: 0, rules: 2 });
    expect(counting.compare(Number.POSITIVE_INFINITY, [robotAlone, inOther])).toMatchObject([
      { country: bot.country, before: 1, after: 1, before_invalid: 1, after_invalid: 0, after_invalid_by: {} },
    ]);
  });

  it('takes the clicks of a split ad together, which the stream could not', () => {
    const parts = [0, 1].map(partition =>
      stated({
        partition,
        clicks: partition === 0 ? 3 : 2,
        rules: 2,
        invalid: partition,
        invalid_by: partition ? { known_bot: 1 } : {},
      }),
    );
    const counting = new Recount({ partitions, hashSeed: 5 });
    counting.judgeBy([{ from: minute0, set: set(2) }]);
    for (const page of pages([...clicks, bot], 7)) counting.feed(page);
    const [change] = counting.compare(Number.POSITIVE_INFINITY, parts);
    expect(change).toMatchObject({ before: 5, after: 5, before_invalid: 1, after_invalid: 3 });
    expect(change?.rows_judged.reduce((sum, { invalid }) => sum + invalid, 0)).toBe(3);
  });
});
