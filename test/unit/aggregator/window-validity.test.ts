/** What rules say of clicks: the same whatever their order, as a second statement of the rules says (judged-clicks.ts). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCheckpoint, encodeCheckpoint } from '../../../aggregator/commit-metadata.ts';
import { type Checkpoint, freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import type { Output } from '../../../aggregator/core/output.ts';
import { PartitionAggregator } from '../../../aggregator/core/partition-aggregator.ts';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { type Fact, facts } from '../../../ingest/validity/facts.ts';
import { noRules, type RulesAt, recommendedRules, type ValidityRules } from '../../../ingest/validity/rules.ts';
import { click, minute0 } from '../../support/clicks.ts';
import { invalidOf, sumOf } from '../../support/judged-clicks.ts';
import { rowsOf } from '../../support/outputs.ts';
import { inMinutes, judgedClicks, twoRuleSets } from '../../support/random-judged-clicks.ts';

const minuteMs = 60_000;
const none = noRules.rules;
const settings = { partition: 3, outOfOrdernessMs: 15_000, allowedLatenessMs: 60_000, hashSeed: 7 };
const always =
  (rules: ValidityRules, version = 1): RulesAt =>
  () => ({ version, rules });
const startWith = (rulesAt: RulesAt, from: Checkpoint = freshCheckpoint(0), hashSeed = 7) =>
  new PartitionAggregator({ ...settings, hashSeed, rulesAt }, from);

/** Canonical lines, and every third one in another form, which the slow path reads. */
function lineOf(one: Click, i: number): string {
  const line = formatLine(one);
  return i % 3 === 2 ? JSON.stringify({ other: 1, ...JSON.parse(line) }) : line;
}

/** One record for each click. Returns what is written after each of them. */
function count(clicks: readonly Click[], rulesAt: RulesAt, hashSeed?: number): { outputs: Output[]; invalid: number } {
  const aggregator = startWith(rulesAt, freshCheckpoint(0), hashSeed);
  const outputs = clicks.map((one, i) => {
    aggregator.process(i, minute0 + 2 * minuteMs, Buffer.from(lineOf(one, i)));
    return aggregator.drain();
  });
  return { outputs, invalid: aggregator.totals.invalid };
}

/** By cell, the last row. */
function lastRows(outputs: readonly Output[]) {
  return new Map(outputs.flatMap(rowsOf).map(row => [`${row.minute}|${row.ad_id}|${row.country}`, row]));
}

const invalidIn = (clicks: readonly Click[], rules: Partial<ValidityRules>) => {
  const [row] = lastRows(count(clicks, always({ ...none, ...rules })).outputs).values();
  return row?.invalid_by;
};
const times = (n: number, given: (i: number) => Partial<Click>) =>
  Array.from({ length: n }, (_, i) => click({ clickedAt: minute0, ...given(i) }));

describe('a rule about facts', () => {
  const of: Readonly<Record<Exclude<Fact, 'allowed'>, keyof ValidityRules>> = {
    denied: 'denied',
    bot: 'known_bot',
    datacentre: 'datacentre',
    prefetch: 'prefetch',
    missing: 'missing_field',
    impossible: 'impossible_field',
  };
  it.each(Object.entries(of) as [Fact, keyof ValidityRules][])('says that a click with fact %s is %s', (fact, rule) => {
    const clicks = [click({ facts: facts[fact].bit }), click()];
    expect(invalidIn(clicks, { [rule]: true })).toEqual({ [rule]: 1 });
    expect(invalidIn(clicks, {})).toEqual({});
  });

  it('gives the first reason that applies, and only of rules that hold', () => {
    const all = facts.denied.bit | facts.prefetch.bit | facts.impossible.bit;
    expect(invalidIn([click({ facts: all })], recommendedRules)).toEqual({ denied: 1 });
    expect(invalidIn([click({ facts: all })], { ...recommendedRules, denied: false })).toEqual({ prefetch: 1 });
  });
});

describe('copies of one click that say different things', () => {
  const ofLink = { ip: '203.0.113.7', eventId: 'shown-1', clickedAt: minute0 };
  const prefetched = click({ ...ofLink, facts: facts.prefetch.bit });
  const clicked = click(ofLink);
  const rowOf = (...copies: Click[]) => {
    const { outputs, invalid } = count(copies, always(recommendedRules));
    const [row] = lastRows(outputs).values();
    const { clicks, duplicates, invalid: ofRow } = row!;
    expect(invalid).toBe(ofRow);
    return { gross: clicks + duplicates, duplicates, invalid: ofRow, net: clicks - ofRow };
  };

  it('are as good as the best one: a link that a person clicks is billed, whether a program has loaded it before or after', () => {
    const billed = { gross: 2, duplicates: 1, invalid: 0, net: 1 };
    expect(rowOf(prefetched, clicked)).toEqual(billed);
    expect(rowOf(clicked, prefetched)).toEqual(billed);
    expect(rowOf(prefetched, prefetched)).toEqual({ gross: 2, duplicates: 1, invalid: 1, net: 0 });
    expect(rowOf(prefetched, clicked, prefetched, clicked)).toEqual({ gross: 4, duplicates: 3, invalid: 0, net: 1 });
  });

  it('have the reason that applies first if each of them has one', () => {
    const denied = click({ ...ofLink, facts: facts.denied.bit });
    for (const copies of [
      [prefetched, denied],
      [denied, prefetched],
    ])
      expect(invalidIn(copies, recommendedRules)).toEqual({ denied: 1 });
  });

  it('count in the cell of the first one, whose caps the person uses up', () => {
    const rules = { prefetch: true, user_clicks_per_minute: 1 };
    const of = { ip: '203.0.113.7', userId: 'u', clickedAt: minute0 };
    const scanned = click({ ...ofLink, country: 'US', facts: facts.prefetch.bit });
    const followed = click({ ...of, eventId: 'shown-1', country: 'KR' });
    const another = click({ ...of, eventId: 'shown-2', country: 'US' });
    const { outputs, invalid } = count([scanned, followed, another], always({ ...none, ...rules }));
    expect(invalid).toBe(1);
    // The row of the first copy's cell is written at once, although nothing was added to it.
    expect(rowsOf(outputs[1]!).map(row => [row.country, row.clicks, row.invalid])).toEqual([
      ['US', 1, 0],
      ['KR', 0, 0],
    ]);
    expect(
      [...lastRows(outputs).values()].map(row => [row.country, row.clicks, row.duplicates, row.invalid_by]),
    ).toEqual([
      ['US', 2, 0, { user_velocity: 1 }],
      ['KR', 0, 1, {}],
    ]);
  });

  it('are valid by the copy that is allowed, which uses up no cap', () => {
    const of = (given: Partial<Click>) => click({ ip: '203.0.113.7', userId: 'u', ...given });
    const bot = of({ facts: facts.bot.bit });
    const clicks = [bot, { ...bot, facts: facts.bot.bit | facts.allowed.bit }, of({})];
    expect(invalidIn(clicks, { known_bot: true, user_clicks_per_minute: 1 })).toEqual({});
  });

  it('are two clicks in two minutes, each judged by itself', () => {
    const inNext = { ...clicked, clickedAt: minute0 + minuteMs };
    const { outputs } = count([prefetched, inNext], always(recommendedRules));
    expect([...lastRows(outputs).values()].map(({ clicks, invalid }) => clicks - invalid)).toEqual([0, 1]);
  });
});

describe('a cap', () => {
  it('lets one click of a person through in each step of the minute, at one address', () => {
    const at = [0, 1_999, 2_000, 59_999].map(ms => click({ clickedAt: minute0 + ms, ip: '203.0.113.7', userId: 'u' }));
    expect(invalidIn(at, { double_click_seconds: 2 })).toEqual({ double_click: 1 });
    expect(invalidIn([...at, click({ ip: '203.0.113.8', userId: 'u' })], { double_click_seconds: 2 })).toEqual({
      double_click: 1,
    });
  });

  it('of a person comes after double clicks, and that of an address after those of its persons', () => {
    const one = times(5, i => ({ ip: '203.0.113.7', userId: 'u', clickedAt: minute0 + 10_000 * i }));
    const double = times(2, () => ({ ip: '203.0.113.7', userId: 'u' }));
    const others = times(4, i => ({ ip: '203.0.113.7', userAgent: `browser ${i}` }));
    const rules = { double_click_seconds: 2, user_clicks_per_minute: 3, address_clicks_per_minute: 6 };
    expect(invalidIn([...double, ...others, ...one], rules)).toEqual({
      ...{ double_click: 2, user_velocity: 2, address_velocity: 1 },
    });
  });

  it('is not used up by an allowed click, nor by one that its facts make invalid, nor by a copy', () => {
    const of = (given: Partial<Click>) => click({ ip: '203.0.113.7', userId: 'u', ...given });
    const copy = of({});
    const clicks = [of({ facts: facts.allowed.bit }), of({ facts: facts.bot.bit }), copy, copy, of({})];
    const caps = { user_clicks_per_minute: 2, address_clicks_per_minute: 2, ad_clicks_per_minute: 2 };
    expect(invalidIn(clicks, { known_bot: true, ...caps })).toEqual({ known_bot: 1 });
  });

  it('does not apply to a click that says nothing of a person or an address', () => {
    const nobody = times(20, i => (i % 2 ? {} : { userAgent: 'browser' }));
    const caps = { double_click_seconds: 2, user_clicks_per_minute: 1, address_clicks_per_minute: 1 };
    expect(invalidIn(nobody, caps)).toEqual({});
    expect(invalidIn(nobody, { ...caps, ad_clicks_per_minute: 18 })).toEqual({ ad_velocity: 2 });
  });

  it('takes an address without a person for no person, and a user id for no user agent of the same text', () => {
    const addressAlone = times(3, () => ({ ip: '203.0.113.7' }));
    expect(invalidIn(addressAlone, { user_clicks_per_minute: 1 })).toEqual({});
    const alike = [click({ ip: '203.0.113.7', userId: 'x' }), click({ ip: '203.0.113.7', userAgent: 'x' })];
    expect(invalidIn(alike, { double_click_seconds: 60 })).toEqual({});
  });

  it('of an address is the same for clicks with a user id, with a browser alone, and with neither', () => {
    const clicks = times(12, i => ({
      ip: '203.0.113.7',
      ...[{ userId: `u${i}` }, { userAgent: `browser ${i}` }, {}][i % 3],
    }));
    expect(invalidIn(clicks, { address_clicks_per_minute: 5, double_click_seconds: 2 })).toEqual({
      address_velocity: 7,
    });
  });

  it('of an address counts what came before its cell had more clicks than that', () => {
    const addresses = ['203.0.113.7', '203.0.113.8', '203.0.113.9'];
    const clicks = times(300, i => ({ ip: addresses[i % 3]!, adId: `ad-${Math.floor(i / 3) % 2}` }));
    const { outputs } = count(clicks, always({ ...none, address_clicks_per_minute: 40 }));
    for (const row of lastRows(outputs).values()) expect(row).toMatchObject({ clicks: 150, invalid: 30 });
  });

  it('on the clicks of a person is for persons with a user id: many people behind one address have the same browser', () => {
    const alike = times(9, i => ({ ip: '203.0.113.7', userAgent: 'browser', clickedAt: minute0 + 6_000 * i }));
    expect(invalidIn(alike, { user_clicks_per_minute: 2 })).toEqual({});
    expect(invalidIn(alike, { user_clicks_per_minute: 2, double_click_seconds: 2 })).toEqual({});
    const ofOne = alike.map(one => ({ ...one, userId: 'u' }));
    expect(invalidIn(ofOne, { user_clicks_per_minute: 2 })).toEqual({ user_velocity: 7 });
  });
});

const rulesAtOf = twoRuleSets.map(inMinutes);
const shuffled = (clicks: readonly Click[]) =>
  fc.shuffledSubarray([...clicks.keys()], { minLength: clicks.length }).map(order => order.map(i => clicks[i]!));

describe('properties', () => {
  it('says of any clicks what a second statement of the rules says', () => {
    fc.assert(
      fc.property(judgedClicks, rulesAtOf, (clicks, rulesAt) => {
        const { outputs, invalid } = count(clicks, rulesAt);
        const rows = lastRows(outputs);
        const expected = invalidOf(clicks, minute => rulesAt(minute).rules);
        expect(new Map([...rows].map(([key, row]) => [key, row.invalid_by]))).toEqual(expected);
        for (const row of rows.values()) {
          expect([row.rules, row.invalid]).toEqual([rulesAt(row.minute * 1_000).version, sumOf(row.invalid_by)]);
          expect(row.invalid).toBeLessThanOrEqual(row.clicks);
        }
        expect(invalid).toBe([...rows.values()].reduce((sum, row) => sum + row.invalid, 0));
      }),
      { numRuns: 400 },
    );
  });

  it('says the same in any order, and by any hash key', () => {
    const ordered = judgedClicks.chain(clicks => fc.tuple(fc.constant(clicks), shuffled(clicks)));
    fc.assert(
      fc.property(ordered, rulesAtOf, fc.integer(), ([clicks, other], rulesAt, seed) => {
        const [one, two] = [clicks, other].map((each, i) => {
          const rows = [...lastRows(count(each, rulesAt, i * seed).outputs).values()];
          return new Map(rows.map(({ version, late, ...row }) => [`${row.minute} ${row.ad_id} ${row.country}`, row]));
        });
        expect(two).toEqual(one);
      }),
      { numRuns: 300 },
    );
  });

  it('never takes a valid click back, while clicks come', () => {
    fc.assert(
      fc.property(judgedClicks, rulesAtOf, (clicks, rulesAt) => {
        const valid = new Map<string, number>();
        for (const row of count(clicks, rulesAt).outputs.flatMap(rowsOf)) {
          const key = `${row.minute} ${row.ad_id} ${row.country}`;
          expect(row.clicks - row.invalid).toBeGreaterThanOrEqual(valid.get(key) ?? 0);
          valid.set(key, row.clicks - row.invalid);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('says the same when it begins again from a checkpoint, wherever that is', () => {
    fc.assert(
      fc.property(judgedClicks, rulesAtOf, fc.nat(), (clicks, rulesAt, at) => {
        const stop = at % clicks.length;
        const records = clicks.map((one, i) => Buffer.from(lineOf(one, i)));
        const feed = (aggregator: PartitionAggregator, from: number, to: number) => {
          for (let i = from; i < to; i++) aggregator.process(i, minute0 + 2 * minuteMs, records[i]!);
        };
        const whole = startWith(rulesAt);
        feed(whole, 0, stop);
        const checkpoint = decodeCheckpoint(encodeCheckpoint(whole.drain().checkpoint));
        feed(whole, stop, clicks.length);
        const again = startWith(rulesAt, checkpoint, 99);
        feed(again, checkpoint.restoreFrom, stop);
        again.endRestore();
        feed(again, stop, clicks.length);
        expect(rowsOf(again.drain())).toEqual(rowsOf(whole.drain()));
        expect(again.totals).toEqual(whole.totals);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the format of rows', () => {
  it('is the one of before while no minute that is written has rules', () => {
    const { outputs } = count([click()], () => noRules);
    expect(outputs.map(({ isJudged }) => isJudged)).toEqual([false]);
    expect(Buffer.concat(outputs[0]!.rowChunks).toString()).toMatch(/,1,0,0\]\n$/);
  });

  it('says of minutes without rules, among others, that nothing is invalid', () => {
    const rulesAt: RulesAt = minute => (minute === minute0 ? { version: 9, rules: recommendedRules } : noRules);
    const aggregator = startWith(rulesAt);
    const bot = click({ facts: facts.bot.bit });
    const next = click({ facts: facts.bot.bit, clickedAt: minute0 + minuteMs });
    aggregator.process(0, minute0 + 2 * minuteMs, Buffer.from(`${formatLine(bot)}\n${formatLine(next)}`));
    const output = aggregator.drain();
    expect(output.isJudged).toBe(true);
    expect(rowsOf(output)).toMatchObject([
      { rules: 9, invalid: 1, invalid_by: { known_bot: 1 } },
      { rules: 0, invalid: 0, invalid_by: {} },
    ]);
  });

  it('does not ask for the rules of a click that is dated too far ahead, which may not be known', () => {
    const aggregator = startWith(minute => {
      if (minute > minute0 + 5 * minuteMs) throw new Error('not known yet');
      return { version: 1, rules: recommendedRules };
    });
    aggregator.process(0, minute0, Buffer.from(formatLine(click({ clickedAt: minute0 + 60 * minuteMs }))));
    expect(aggregator.drain().quarantined).toMatchObject([{ reason: 'future' }]);
  });

  it('has tables of its own in each window, also where those of an older window are used again', () => {
    const rulesAt = always({ ...none, user_clicks_per_minute: 1 });
    const aggregator = startWith(rulesAt);
    for (let minute = 0; minute < 4; minute++) {
      const clickedAt = minute0 + 3 * minute * minuteMs;
      const twice = [click({ userId: 'u', clickedAt }), click({ userId: 'u', clickedAt })];
      aggregator.process(minute, clickedAt, Buffer.from(twice.map(formatLine).join('\n')));
      expect(rowsOf(aggregator.drain())).toMatchObject([{ clicks: 2, invalid: 1, invalid_by: { user_velocity: 1 } }]);
    }
    expect(aggregator.totals).toMatchObject({ counted: 8, invalid: 4 });
  });

  it('knows nothing in a window of what was invalid by its facts in another one, also where its tables are used again', () => {
    const aggregator = startWith(always({ ...none, known_bot: true }));
    for (let minute = 0; minute < 4; minute++) {
      const clickedAt = minute0 + 3 * minute * minuteMs;
      const one = click({ eventId: 'of each minute', clickedAt });
      const copies = minute < 2 ? [{ ...one, facts: facts.bot.bit }] : [one, one];
      aggregator.process(minute, clickedAt, Buffer.from(copies.map(formatLine).join('\n')));
      expect(rowsOf(aggregator.drain())).toMatchObject([{ clicks: 1, invalid: minute < 2 ? 1 : 0 }]);
    }
    expect(aggregator.totals).toMatchObject({ counted: 4, invalid: 2 });
  });

  it('knows nothing in a window of the addresses of another one, also where the tables of that one are used again', () => {
    const aggregator = startWith(always({ ...none, address_clicks_per_minute: 2 }));
    for (let minute = 0; minute < 4; minute++) {
      const clickedAt = minute0 + 3 * minute * minuteMs;
      const clicks = times(minute === 0 ? 5 : 3, i => ({ ip: `203.0.113.${minute === 2 ? 5 + i : 7}`, clickedAt }));
      aggregator.process(minute, clickedAt, Buffer.from(clicks.map(formatLine).join('\n')));
      expect(rowsOf(aggregator.drain())).toMatchObject([{ invalid: [3, 1, 0, 1][minute] }]);
    }
  });
});
