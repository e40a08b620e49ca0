/** By which rules a recount judges a minute. */
import { describe, expect, it } from 'vitest';
import { Retryable } from '../../../infra/errors.ts';
import { noRules, type RuleSet, recommendedRules } from '../../../ingest/validity/rules.ts';
import { type RecountRules, rulesOfRange } from '../../../query-api/jobs/recount/recount-rules.ts';

const minute = 60_000;
const set = (version: number): RuleSet => ({ version, rules: recommendedRules });
/** Version 3 holds today, and for all minutes. */
const known: RecountRules = { rulesAt: () => set(3), setOf: version => (version <= 3 ? set(version) : undefined) };
const range = { from: 10 * minute, to: 14 * minute };

describe('a minute that is counted again', () => {
  it('is judged by the rules of its rows, and one without rows by those that were announced for it', () => {
    const stated = [10, 11, 13].map((at, i) => ({ minute: at * minute, rules: [1, 0, 2][i]! }));
    expect(rulesOfRange(range, stated, known)).toEqual([
      { from: 10 * minute, set: set(1) },
      { from: 11 * minute, set: noRules },
      { from: 12 * minute, set: set(3) },
      { from: 13 * minute, set: set(2) },
    ]);
  });

  it('is judged by others if a replay names them', () => {
    const stated = [{ minute: 10 * minute, rules: 1 }];
    expect(rulesOfRange(range, stated, { ...known, instead: set(2) })).toEqual([{ from: range.from, set: set(2) }]);
  });

  it('waits for the rules of its rows where they are not known yet', () => {
    expect(() => rulesOfRange(range, [{ minute: 12 * minute, rules: 4 }], known)).toThrow(Retryable);
  });
});
