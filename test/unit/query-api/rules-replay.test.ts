/** What a replay by other rules sums up, by which rules it judges, and what may be asked of it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changeOf } from '../../../aggregator/replay/cell-change.ts';
import type { CellChange } from '../../../aggregator/restatement.ts';
import { Corrupt, Retryable } from '../../../infra/errors.ts';
import type { RulesVersion } from '../../../ingest/validity/rule-set.ts';
import { noRules, recommendedRules } from '../../../ingest/validity/rules.ts';
import { moneyOf } from '../../../query-api/answers/money.ts';
import {
  changesNumbers,
  draftVersion,
  newRulesReplay,
  recountRulesOf,
  rulesReplayOf,
  withEffect,
} from '../../../query-api/jobs/recount/rules-replay.ts';
import { askedRules, shownEffect } from '../../../query-api/routes/jobs/asked-rules.ts';
import { type Job, newJob } from '../../../query-api/store/jobs/job.ts';

const day = 86_400_000;
const begin = Date.parse('2026-03-01T00:00:00Z');

function jobBy(by: Parameters<typeof newRulesReplay>[0], { price = null as string | null, apply = false } = {}): Job {
  const result = JSON.stringify(newRulesReplay(by, price));
  return newJob({ kind: 'replay', reason: 'rules', apply, from: begin, to: begin + 2 * day, result }, begin + 3 * day);
}

/** A cell of 10 clicks, of which so many were invalid before and are so now. */
function change(at: number, before: number, after: number, rules = 2): CellChange | undefined {
  const key = { minute: (begin + at) / 1_000, ad_id: 'ad-1', country: 'KR', partition: 3 };
  const invalidBy = (n: number) => (n === 0 ? {} : { user_velocity: n });
  const cell = { ...key, clicks: 10, duplicates: 0, rules, invalid: after, invalid_by: invalidBy(after) };
  const judged = { rules: 1, invalid: before, invalid_by: invalidBy(before) };
  return changeOf(cell, [{ ...key, revision: 0, clicks: 10, duplicates: 0, late: 0, ...judged }]);
}

const version = (number: number, from: number | null = null): RulesVersion => ({
  ...{ version: number, from, holds: from !== null, rules: { ...recommendedRules, ad_clicks_per_minute: number } },
  ...{ ruleId: `r${number}`, note: '', by: '', announcedAt: 0 },
});

describe('the effect of rules', () => {
  it('is summed up by reason and day, over turns, without cells of which only the version differs', () => {
    const first = withEffect(jobBy(2), [change(0, 1, 4)!, change(60_000, 0, 0)!]);
    const second = withEffect(first, [change(day - 60_000, 2, 0)!, change(day, 3, 5)!]);
    expect(rulesReplayOf(second)?.found).toEqual({
      cells: 3,
      before: { clicks: 30, invalid: 6 },
      after: { clicks: 30, invalid: 9 },
      byReason: [{ reason: 'user_velocity', before: 6, after: 9 }],
      byDay: [
        { day: begin, before: { clicks: 20, invalid: 3 }, after: { clicks: 20, invalid: 4 } },
        { day: begin + day, before: { clicks: 10, invalid: 3 }, after: { clicks: 10, invalid: 5 } },
      ],
    });
  });

  it('has both reasons where clicks are as many as before and invalid for another one', () => {
    const same = { ...change(0, 2, 2)!, after_invalid_by: { double_click: 2 } };
    expect(changesNumbers(same)).toBe(true);
    expect(rulesReplayOf(withEffect(jobBy(2), [same]))?.found.byReason).toEqual([
      { reason: 'double_click', before: 0, after: 2 },
      { reason: 'user_velocity', before: 2, after: 0 },
    ]);
  });

  it('is shown in valid clicks and in money', () => {
    const job = withEffect(jobBy(2, { price: '0.125' }), [change(0, 1, 4)!]);
    const ad = { ad_id: 'ad-1', cells: 1, before: 10, after: 10, before_invalid: 1, after_invalid: 4 };
    const sums = { clicks_before: 10, clicks_after: 10, invalid_before: 1, invalid_after: 4 };
    const all = { ...sums, net_before: 9, net_after: 6, money: '-0.375' };
    expect(shownEffect(job, [ad])).toMatchObject({
      ...{ rules: 2, draft_rules: null, price_per_click: '0.125', cells: 1, cells_left_out: 0, ...all },
      by_day: [{ day: '2026-03-01T00:00:00.000Z', ...all }],
      by_ad: [{ ad_id: 'ad-1', ...all }],
    });
    expect(shownEffect(jobBy(recommendedRules), [])).toMatchObject({
      rules: null,
      draft_rules: recommendedRules,
      money: null,
    });
    expect(shownEffect({ ...job, reason: 'replay', result: '' }, [])).toBeNull();
  });
});

describe('the rules of a recount', () => {
  const versions = [version(1, begin), version(2, begin + day), version(3)];

  it('are those of its minutes, unless a replay names others', () => {
    const late = newJob({ kind: 'restate', reason: 'late', apply: true, from: begin, to: begin + day }, begin);
    const rules = recountRulesOf(late, versions);
    expect(rules.instead).toBeUndefined();
    expect([begin - 1, begin, begin + day].map(at => rules.rulesAt(at).version)).toEqual([0, 1, 2]);
    expect(rules.setOf(3)?.rules.ad_clicks_per_minute).toBe(3);
  });

  it('are those of the version that a replay names, also of a draft and of none', () => {
    expect(recountRulesOf(jobBy(3, { apply: true }), versions).instead).toEqual(versions[2]);
    expect(recountRulesOf(jobBy(0), versions).instead).toEqual(noRules);
    expect(() => recountRulesOf(jobBy(9), versions)).toThrow(Retryable);
  });

  it('are never applied when they were not announced, whatever asks for it', () => {
    const dry = recountRulesOf(jobBy(recommendedRules), versions).instead;
    expect(dry).toEqual({ version: draftVersion, rules: recommendedRules });
    expect(() => recountRulesOf(jobBy(recommendedRules, { apply: true }), versions)).toThrow(Corrupt);
  });

  it('must be in the job', () => {
    expect(() => recountRulesOf({ ...jobBy(1), result: '{}' }, versions)).toThrow(Corrupt);
  });
});

describe('a request for a replay', () => {
  const log = { read: async () => ({ versions: [version(1)], at: () => noRules, soonestFrom: () => 0 }) };
  const asked = (body: Parameters<typeof askedRules>[0]) => askedRules(body, log);

  it('may name no rules, a version, none of them, or a draft of its own', async () => {
    expect(await asked({ apply: true })).toBeUndefined();
    for (const by of [{ rules: 1, apply: true }, { rules: 0 }, { draft_rules: recommendedRules }])
      expect(await asked({ ...by, price_per_click: '0.25' })).toMatchObject({ reason: 'rules' });
  });

  it.each<[string, Parameters<typeof askedRules>[0], string]>([
    ['a version that nobody has announced', { rules: 2 }, 'rules is 2'],
    ['both', { rules: 1, draft_rules: recommendedRules }, 'draft_rules'],
    ['to apply rules that were not announced', { draft_rules: recommendedRules, apply: true }, 'apply is true'],
    ['a price without rules', { price_per_click: '1' }, 'price_per_click'],
  ])('must not name %s', async (_, body, named) => {
    await expect(asked(body)).rejects.toThrow(named);
  });
});

describe('money', () => {
  it('is the price times the clicks, exactly, however many digits there are', () => {
    expect(moneyOf(-3, '0.1')).toBe('-0.3');
    expect(moneyOf(0, '0.10')).toBe('0.00');
    expect(moneyOf(7, '12')).toBe('84');
    expect(moneyOf(9_007_199_254_740_991, '999999999999.999999999999')).toBe(
      '9007199254740990999999990992.800745259009',
    );
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 999_999 }), (clicks, cents) => {
        const price = `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
        const sum = BigInt(clicks) * BigInt(cents);
        expect(BigInt(moneyOf(clicks, price).replace('.', ''))).toBe(sum);
      }),
    );
  });
});
