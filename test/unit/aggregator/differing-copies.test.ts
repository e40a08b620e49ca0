/**
 * Copies of one click that differ in anything: their country, person, address, time and facts, one of them allowed. In the
 * order of receipt, stream, recount and trail decide alike, as a second statement does. In any other order they differ by
 * no more than such clicks, and not at all in what does not depend on caps.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AdMinuteRow } from '../../../aggregator/ad-minute.ts';
import { freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import { PartitionAggregator } from '../../../aggregator/core/partition-aggregator.ts';
import { Recount } from '../../../aggregator/replay/recount.ts';
import type { CellChange } from '../../../aggregator/restatement.ts';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { factsText } from '../../../ingest/validity/facts.ts';
import type { RulesAt, ValidityRules } from '../../../ingest/validity/rules.ts';
import { type CellClick, invalidOf } from '../../../query-api/answers/judged-clicks.ts';
import { billedOf } from '../../support/billed-clicks.ts';
import { click, minute0 } from '../../support/clicks.ts';
import { bestOf, sumOf } from '../../support/judged-clicks.ts';
import { rowsOf } from '../../support/outputs.ts';
import { inMinutes, judgedFields, twoRuleSets } from '../../support/random-judged-clicks.ts';

const minuteMs = 60_000;
const minuteOf = ({ clickedAt }: Click) => clickedAt - (clickedAt % minuteMs);

/** Clicks with up to three copies in the same minute, mixed, with ids in the order of receipt. */
const received = fc
  .array(fc.tuple(judgedFields, fc.array(judgedFields, { maxLength: 2 })), { minLength: 30, maxLength: 90 })
  .map(all =>
    all.flatMap(([fields, others], i) => {
      const one = { ...click(fields), eventId: `e${i}` };
      const copyOf = (other: Partial<Click>) => ({
        ...click({ ...other, clickedAt: minuteOf(one) + ((other.clickedAt ?? 0) % minuteMs) }),
        ...{ adId: one.adId, eventId: one.eventId },
      });
      return [one, ...others.map(copyOf)];
    }),
  )
  .chain(clicks => fc.shuffledSubarray(clicks, { minLength: clicks.length }))
  .map(clicks => clicks.map((one, i) => ({ ...one, clickId: click().clickId, receivedAt: minute0 + i })));

/** As the stream counts them in this order. */
function counted(clicks: readonly Click[], rulesAt: RulesAt): AdMinuteRow[] {
  const settings = { partition: 0, outOfOrdernessMs: 120_000, allowedLatenessMs: 60_000, hashSeed: 7, rulesAt };
  const aggregator = new PartitionAggregator(settings, freshCheckpoint(0));
  for (const [i, one] of clicks.entries()) aggregator.process(i, minute0 + 2 * minuteMs, Buffer.from(formatLine(one)));
  return rowsOf(aggregator.drain());
}

/** What a recount finds to differ from these rows. It reads in the order of the key of `click_raw`. */
function recounted(clicks: readonly Click[], rows: readonly AdMinuteRow[], rulesAt: RulesAt): CellChange[] {
  const recount = new Recount({ partitions: 1, hashSeed: 9 });
  recount.judgeBy([0, minuteMs].map(at => ({ from: minute0 + at, set: rulesAt(minute0 + at) })));
  const key = (one: Click) => `${minuteOf(one)} ${one.adId} ${one.clickId}`;
  const lines = clicks.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)).map(one => `${formatLine(one)}\n`);
  recount.feed(Buffer.from(lines.join('')));
  return recount.compare(
    Number.POSITIVE_INFINITY,
    rows.map(({ version, ...row }) => ({ ...row, revision: 0 })),
  );
}

/** Invalid clicks of each cell, as the trail says it of single clicks. */
function byTrail(clicks: readonly Click[], rulesAt: RulesAt): Map<string, number> {
  const copies = Map.groupBy(clicks, one => `${minuteOf(one)} ${one.adId} ${one.eventId}`);
  const once = [...copies.values()].map(of => ({
    ...bestOf(of, rulesAt(minuteOf(of[0]!)).rules),
    country: of[0]!.country,
  }));
  const cells = Map.groupBy(once, one => `${minuteOf(one) / 1_000}|${one.adId}|${one.country}`);
  return new Map(
    [...cells].map(([cell, of]) => [cell, invalidOf(of.map(cellClick), rulesAt(minuteOf(of[0]!)).rules).size]),
  );
}

function cellClick({ eventId, clickedAt, facts = 0, userId, ip, userAgent }: Click): CellClick {
  const person = userId ?? (ip && userAgent);
  return {
    ...{ event_id: eventId, ms: clickedAt % minuteMs, facts: factsText(facts), address: ip ?? '' },
    person: person === undefined ? '' : `${ip ?? ''} ${userId === undefined ? 'agent' : 'user'} ${person}`,
    user: userId === undefined ? '' : `${ip ?? ''} ${userId}`,
  };
}

const cellOf = ({ minute, ad_id, country }: AdMinuteRow) => `${minute}|${ad_id}|${country}`;
const withoutCaps = (rules: ValidityRules): ValidityRules => ({
  ...rules,
  ...{ double_click_seconds: 0, user_clicks_per_minute: 0, address_clicks_per_minute: 0, ad_clicks_per_minute: 0 },
});

describe('copies that differ in anything', () => {
  it('are judged alike by stream, recount, trail and a second statement, in the order of receipt', () => {
    let invalid = 0;
    const property = fc.property(received, twoRuleSets, (clicks, sets) => {
      const rulesAt = inMinutes(sets);
      const rows = counted(clicks, rulesAt);
      expect(recounted(clicks, rows, rulesAt)).toEqual([]);
      const cells = rows.filter(row => row.clicks > 0);
      const billed = billedOf(clicks, minute => rulesAt(minute).rules);
      expect(new Map(cells.map(row => [cellOf(row), [row.clicks, row.invalid_by]]))).toEqual(
        new Map([...billed].map(([cell, of]) => [cell, [of.clicks, of.invalidBy]])),
      );
      expect(new Map(cells.map(row => [cellOf(row), row.invalid]))).toEqual(byTrail(clicks, rulesAt));
      invalid += cells.reduce((sum, row) => sum + row.invalid, 0);
    });
    fc.assert(property, { numRuns: 200 });
    expect(invalid).toBeGreaterThan(200);
  });

  it('differ in another order by no more than there are of them', () => {
    const shuffled = received.chain(clicks =>
      fc.tuple(fc.constant(clicks), fc.shuffledSubarray(clicks, { minLength: clicks.length })),
    );
    const property = fc.property(shuffled, twoRuleSets, ([clicks, arrived], sets) => {
      const rulesAt = inMinutes(sets);
      const torn = [...Map.groupBy(clicks, one => `${minuteOf(one)} ${one.adId} ${one.eventId}`).values()].filter(
        of => of.length > 1,
      ).length;
      const changes = recounted(clicks, counted(arrived, rulesAt), rulesAt);
      const off = changes.reduce((sum, of) => sum + of.after - of.after_invalid - of.before + of.before_invalid, 0);
      expect(Math.abs(off)).toBeLessThanOrEqual(torn);
      for (const of of changes) expect(sumOf(of.after_invalid_by)).toBe(of.after_invalid);
    });
    fc.assert(property, { numRuns: 200 });
  });

  it('of one country are judged alike in every order by rules that look at facts', () => {
    const shuffled = received
      .map(clicks => clicks.map(one => ({ ...one, country: 'KR' })))
      .chain(clicks => fc.tuple(fc.constant(clicks), fc.shuffledSubarray(clicks, { minLength: clicks.length })));
    const property = fc.property(shuffled, twoRuleSets, ([clicks, arrived], sets) => {
      const [first, second] = sets.map(({ version, rules }) => ({ version, rules: withoutCaps(rules) }));
      const rulesAt = inMinutes([first!, second!]);
      expect(recounted(clicks, counted(arrived, rulesAt), rulesAt)).toEqual([]);
    });
    fc.assert(property, { numRuns: 200 });
  });
});
