/** What the trail says of single clicks adds up to what the rules say of their cell, whatever the order of the clicks. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { facts, factsText } from '../../../ingest/validity/facts.ts';
import { doubleClickSteps, noRules, recommendedRules } from '../../../ingest/validity/rules.ts';
import { type CellClick, invalidOf, needsCaps, reasonOfFacts } from '../../../query-api/answers/judged-clicks.ts';
import { click, minute0 } from '../../support/clicks.ts';
import { invalidOfCell } from '../../support/judged-clicks.ts';

const clicks = fc.array(
  fc.record({
    ms: fc.integer({ min: 0, max: 59_999 }),
    user: fc.constantFrom(undefined, 'u1', 'u2'),
    ip: fc.constantFrom(undefined, '203.0.113.1', '203.0.113.2'),
    userAgent: fc.constantFrom(undefined, 'Firefox', 'Safari'),
    facts: fc.oneof({ arbitrary: fc.constant(0), weight: 6 }, fc.integer({ min: 0, max: 127 })),
  }),
  { maxLength: 40 },
);
const cap = fc.integer({ min: 0, max: 4 });
const ruleSets = fc.record({
  denied: fc.boolean(),
  known_bot: fc.boolean(),
  datacentre: fc.boolean(),
  prefetch: fc.boolean(),
  missing_field: fc.boolean(),
  impossible_field: fc.boolean(),
  double_click_seconds: fc.constantFrom(...doubleClickSteps),
  user_clicks_per_minute: cap,
  address_clicks_per_minute: cap,
  ad_clicks_per_minute: fc.integer({ min: 0, max: 10 }),
});

describe('the clicks of a cell', () => {
  it('are invalid as often by each reason as the sums of the cell say', () => {
    const property = fc.property(clicks, ruleSets, (given, rules) => {
      const all = given.map(({ ms, user, ip, userAgent, facts: bits }) =>
        click({
          clickedAt: minute0 + ms,
          ...(user && { userId: user }),
          ...{ ...(ip && { ip }), ...(userAgent && { userAgent }), facts: bits },
        }),
      );
      const ofCell = all.map((one, i): CellClick => {
        const { user, ip, userAgent, ms } = given[i]!;
        const person = user ?? (ip && userAgent);
        return {
          event_id: one.eventId,
          ms,
          facts: factsText(one.facts ?? 0),
          person: person === undefined ? '' : `${ip ?? ''} ${user === undefined ? 'agent' : 'user'} ${person}`,
          user: user === undefined ? '' : `${ip ?? ''} ${user}`,
          address: ip ?? '',
        };
      });
      const sums: Record<string, number> = {};
      for (const reason of invalidOf(ofCell, rules).values()) sums[reason] = (sums[reason] ?? 0) + 1;
      expect(sums).toEqual(invalidOfCell(all, rules));
    });
    fc.assert(property, { numRuns: 1_000 });
  });

  it('are one too many in the order of event time and then event id, whatever order they are read in', () => {
    const at = (event_id: string, ms: number): CellClick => ({
      event_id,
      ms,
      facts: '',
      person: 'p',
      user: 'p',
      address: 'a',
    });
    const rules = { ...noRules.rules, user_clicks_per_minute: 2 };
    const cell = [at('d', 30_000), at('b', 10_000), at('c', 10_000), at('a', 20_000)];
    for (const order of [cell, cell.toReversed()])
      expect([...invalidOf(order, rules)]).toEqual([
        ['a', 'user_velocity'],
        ['d', 'user_velocity'],
      ]);
  });
});

describe('one click', () => {
  it('has the first reason of its facts that holds, and none when it is allowed', () => {
    const { bot, denied, allowed } = facts;
    const both = factsText(bot.bit | denied.bit);
    expect(reasonOfFacts(both, recommendedRules)).toBe('denied');
    expect(reasonOfFacts(both, { ...recommendedRules, denied: false })).toBe('known_bot');
    expect(reasonOfFacts(factsText(bot.bit | allowed.bit), recommendedRules)).toBeNull();
    expect(needsCaps(factsText(allowed.bit), recommendedRules)).toBe(false);
    expect([needsCaps('', recommendedRules), needsCaps('', noRules.rules)]).toEqual([true, false]);
  });
});
