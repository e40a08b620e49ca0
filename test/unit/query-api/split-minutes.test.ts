import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSplitBy } from '../../../ingest/hot-ads/rule.ts';
import { type RulesVersion, versionAt } from '../../../ingest/validity/rule-set.ts';
import { hasCaps, noRules, recommendedRules, type ValidityRules } from '../../../ingest/validity/rules.ts';
import {
  cappedVersions,
  type SplitRules,
  splitAdsIn,
  splitMinutesIn,
  splitRulesOf,
} from '../../../query-api/store/split-minutes.ts';

const minuteMs = 60_000;
const factsAlone: ValidityRules = { ...noRules.rules, known_bot: true };
const version = (n: number, from: number | null, rules: ValidityRules, holds = from !== null): RulesVersion => ({
  ...{ version: n, from, rules, holds, ruleId: `${n}`.padStart(26, '0'), note: '', by: 'somebody', announcedAt: 0 },
});
const rule = (adId: string, from: number, until: number) => ({
  ...{ ruleId: '0'.repeat(26), adId, from: from * minuteMs, until: until * minuteMs },
});
const known = (rules: SplitRules['rules'], versions: readonly RulesVersion[]): SplitRules => ({
  ...{ rules, versions, rulesKnownUntil: Number.POSITIVE_INFINITY },
});
const minutesOf = (of: SplitRules, from = 0, to = 100) =>
  splitMinutesIn(of, { from: from * minuteMs, to: to * minuteMs }).map(ms => ms / minuteMs);

describe('minutes in which caps apply to split ads', () => {
  it.each([
    ['none without rules', [], []],
    ['none by rules about single clicks', [version(1, 0, factsAlone)], []],
    [
      'none by a draft or a version that came too late',
      [version(1, null, recommendedRules), version(2, 0, recommendedRules, false)],
      [],
    ],
    ['those from which on a version with caps holds', [version(1, 12 * minuteMs, recommendedRules)], [12, 13, 20]],
    [
      'those until another one replaces it',
      [version(1, 0, recommendedRules), version(2, 12 * minuteMs, factsAlone)],
      [10, 11],
    ],
    [
      'those of the cap of an ad alone',
      [version(1, 0, { ...noRules.rules, ad_clicks_per_minute: 9 })],
      [10, 11, 12, 13, 20],
    ],
  ])('are %s', (_, versions, expected) => {
    const rules = [rule('a', 10, 13), rule('b', 12, 14), rule('a', 20, 21)];
    expect(minutesOf(known(rules, versions))).toEqual(expected);
    expect(minutesOf(known([], versions))).toEqual([]);
  });

  it('are those of which each minute says so by itself, in order', () => {
    const some = fc.integer({ min: 0, max: 30 });
    const rules = fc.array(fc.tuple(fc.constantFrom('a', 'b'), some, fc.integer({ min: 1, max: 9 })), { maxLength: 6 });
    const versions = fc.array(
      fc.tuple(fc.option(some), fc.constantFrom(noRules.rules, factsAlone, recommendedRules), fc.boolean()),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(rules, versions, some, some, (splits, announced, one, other) => {
        const of = known(
          splits.map(([ad, from, length]) => rule(ad, from, from + length)),
          announced.map(([from, given, holds], i) =>
            version(i + 1, from === null ? null : from * minuteMs, given, from !== null && holds),
          ),
        );
        const [from, to] = [Math.min(one, other), Math.max(one, other)];
        const expected: number[] = [];
        for (let minute = from; minute < to; minute++) {
          const isSplit = ['a', 'b'].some(ad => isSplitBy(of.rules)(ad, minute * minuteMs));
          if (isSplit && hasCaps(versionAt(of.versions, minute * minuteMs).rules)) expected.push(minute);
        }
        expect(minutesOf(of, from, to)).toEqual(expected);
      }),
    );
  });
});

it('ads are named once, if a rule of theirs overlaps the range', () => {
  const of = known([rule('a', 1, 3), rule('a', 2, 5), rule('b', 5, 6), rule('c', 3, 4)], []);
  expect(splitAdsIn(of, { from: 3 * minuteMs, to: 5 * minuteMs })).toEqual(['a', 'c']);
});

it('versions with caps are all of them, because a replay may have judged by any', () => {
  const versions = [version(1, 0, factsAlone), version(2, null, recommendedRules), version(3, 0, recommendedRules)];
  expect(cappedVersions(known([], versions))).toEqual([2, 3]);
});

it('a tenant hears of its own ads alone, and of what is read later too', () => {
  const rules = [rule('x-1', 1, 3)];
  const of = splitRulesOf(known(rules, []), { id: 'x', adIdPrefixes: ['x-'] });
  rules.push(rule('y-1', 1, 3), rule('x-2', 1, 3));
  expect(of.rules.map(({ adId }) => adId)).toEqual(['x-1', 'x-2']);
});
