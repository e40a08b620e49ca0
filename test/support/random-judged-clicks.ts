/** Generators of clicks and of rules for properties of invalid clicks: few persons and addresses, so that caps are reached. */
import fc from 'fast-check';
import type { Click } from '../../ingest/click.ts';
import { doubleClickSteps, type RuleSet, type RulesAt, type ValidityRules } from '../../ingest/validity/rules.ts';
import { click, minute0 } from './clicks.ts';

const minuteMs = 60_000;

const ips = fc.constantFrom(undefined, '203.0.113.7', '203.0.113.7', '2001:db8::1');
const names = fc.constantFrom(undefined, 'u', 'v', 'a name of more than sixteen characters');
const bits = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 127 }) },
);

/** First or last in a step of double clicks, whatever the length of the steps. */
const atBorder = fc
  .tuple(fc.integer({ min: 1, max: 119 }), fc.constantFrom(-1, 0))
  .map(([second, ms]) => 1_000 * second + ms);

/** Fields of a click of two ads, in one of two minutes from `minute0` on. */
export const judgedFields: fc.Arbitrary<Partial<Click>> = fc.record({
  adId: fc.constantFrom('a', 'b'),
  country: fc.constantFrom('KR', 'KR', 'US'),
  clickedAt: fc.oneof(fc.integer({ min: 0, max: 2 * minuteMs - 1 }), atBorder).map(ms => minute0 + ms),
  ip: ips,
  userId: names,
  userAgent: names,
  facts: bits,
});

/** Copies are equal, so that no matter which comes first it is judged in the same way. */
export const judgedClicks: fc.Arbitrary<Click[]> = clicksOfLength({ minLength: 1, maxLength: 60 });
/** So many that most rules find something. */
export const manyJudgedClicks: fc.Arbitrary<Click[]> = clicksOfLength({ minLength: 60, maxLength: 120 });

function clicksOfLength(length: { readonly minLength: number; readonly maxLength: number }): fc.Arbitrary<Click[]> {
  return fc.array(fc.tuple(judgedFields, fc.integer({ min: 1, max: 2 })), length).map(given =>
    given.flatMap(([fields, copies]) => {
      const one = click(fields);
      return Array.from({ length: copies }, () => one);
    }),
  );
}

const cap = fc.constantFrom(0, 1, 2, 3, 5);
const someRules: fc.Arbitrary<ValidityRules> = fc.record({
  ...{ denied: fc.boolean(), known_bot: fc.boolean(), datacentre: fc.boolean(), prefetch: fc.boolean() },
  ...{ missing_field: fc.boolean(), impossible_field: fc.boolean() },
  double_click_seconds: fc.constantFrom(...doubleClickSteps),
  ...{ user_clicks_per_minute: cap, address_clicks_per_minute: cap, ad_clicks_per_minute: fc.constantFrom(0, 0, 4, 9) },
});

/** Rules of versions 4 and 5, each for one of the two minutes. */
export const twoRuleSets: fc.Arbitrary<readonly [RuleSet, RuleSet]> = fc
  .tuple(someRules, someRules)
  .map(([first, second]) => [
    { version: 4, rules: first },
    { version: 5, rules: second },
  ]);

export function inMinutes(sets: readonly [RuleSet, RuleSet]): RulesAt {
  return minute => sets[minute < minute0 + minuteMs ? 0 : 1];
}
