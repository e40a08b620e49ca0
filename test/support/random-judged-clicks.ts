/** Generators of clicks and of rules for properties of invalid clicks: few persons and addresses, so that caps are reached. */
import fc from 'fast-check';
import type { Click } from '../../ingest/click.ts';
import { facts } from '../../ingest/validity/facts.ts';
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

/**
 * Copies are equal, but for their facts. Either all of them are allowed or none is: where one is, and another one is
 * judged by caps, the first of these two decides.
 */
export const judgedClicks: fc.Arbitrary<Click[]> = clicksOfLength({ minLength: 1, maxLength: 60 });
/** So many that most rules find something. */
export const manyJudgedClicks: fc.Arbitrary<Click[]> = clicksOfLength({ minLength: 60, maxLength: 120 });

function clicksOfLength(length: { readonly minLength: number; readonly maxLength: number }): fc.Arbitrary<Click[]> {
  const copiesOf = fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom<undefined[][]>([], [undefined]) },
    { weight: 1, arbitrary: fc.array(bits, { minLength: 1, maxLength: 2 }) },
  );
  return fc.array(fc.tuple(judgedFields, copiesOf), length).map(given =>
    given.flatMap(([fields, factsOfCopies]) => {
      const one = click(fields);
      const allowed = (one.facts ?? 0) & facts.allowed.bit;
      const factsOf = (other: number) => (other & ~facts.allowed.bit) | allowed;
      const copyOf = (other: number) => ({ ...click(fields), eventId: one.eventId, facts: factsOf(other) });
      return [one, ...factsOfCopies.map(other => (other === undefined ? one : copyOf(other)))];
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
