/**
 * Clicks of a random history, and what must be billed for them, counted apart from all code of the pipeline: each click
 * once in the country of its first copy, judged by the first of its best copies.
 */
import type { Click } from '../../ingest/click.ts';
import { facts } from '../../ingest/validity/facts.ts';
import { noRules, type ValidityRules } from '../../ingest/validity/rules.ts';
import type { SeededRandom } from '../simulation/seeded-random.ts';
import { click } from './clicks.ts';
import { bestOf, invalidOfCell, sumOf } from './judged-clicks.ts';

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
/** The begin of three hours that are over. The hours have other rules each. */
export const start = Math.floor(Date.now() / hourMs) * hourMs - 5 * hourMs;
export const end = start + 3 * hourMs;
export const minuteAt = (minute: number) => start + minute * minuteMs;

export const ads = ['a', 'b', 'c', 's'] as const;
/** Its clicks are in all partitions. */
export const splitAd = 's';
export const users = ['u', 'v', 'w', 'x', 'y'] as const;

/**
 * Announced for the second and the third hour, and a draft. Who is erased is alone at their address from then on. So where
 * persons are erased, no rule looks at addresses, and a recount must find what was billed.
 */
export function rulesOf(isErasing: boolean): readonly [ValidityRules, ValidityRules, ValidityRules] {
  const { rules: none } = noRules;
  const address_clicks_per_minute = isErasing ? 0 : 3;
  return [
    { ...none, known_bot: true, user_clicks_per_minute: 2, double_click_seconds: 10, address_clicks_per_minute },
    { ...none, known_bot: true, prefetch: true, user_clicks_per_minute: 1, ad_clicks_per_minute: 5 },
    { ...none, denied: true, double_click_seconds: 60, user_clicks_per_minute: 1, address_clicks_per_minute },
  ];
}

export interface HistoryClicks {
  /** In the order in which they come. */
  readonly inTime: readonly Click[];
  /** Come after all minutes are final, some at a time. */
  readonly late: readonly (readonly Click[])[];
}

export function clicksOf(random: SeededRandom): HistoryClicks {
  const minutes = [3, 59, 60, 61, 119, 120, 150].filter(() => random.chance(0.6));
  if (minutes.length === 0) minutes.push(61);
  const inTime: Click[] = [];
  const late: Click[][] = [[], [], []];
  const place = (one: Click, isLate: boolean) => (isLate ? random.pick(late) : inTime).push(one);
  for (let i = random.between(30, 90); i > 0; i--) {
    const fields = {
      ...{ adId: random.pick(ads), clickedAt: minuteAt(random.pick(minutes)) + random.between(0, minuteMs - 1) },
      ...saidBy(random),
    };
    const one = click(fields);
    place(one, random.chance(0.2));
    while (random.chance(0.3)) {
      // Mostly as it was, and else posted by another program, or by somebody who lies.
      const copy = random.chance(0.5) ? {} : random.chance(0.5) ? { facts: bitsOf(random) } : saidBy(random);
      place(click({ ...fields, ...copy, eventId: one.eventId }), random.chance(0.3));
    }
  }
  return inOrder(
    inTime.sort((a, b) => a.clickedAt - b.clickedAt),
    late,
  );
}

function saidBy(random: SeededRandom): Partial<Click> {
  const userId = random.chance(0.8) ? random.pick(users) : undefined;
  const userAgent = random.pick([undefined, 'Firefox', 'Safari']);
  return {
    ...{ country: random.pick(['KR', 'KR', 'DE']), ip: random.pick(['203.0.113.7', '203.0.113.8']) },
    ...(userId === undefined ? {} : { userId }),
    ...(userAgent === undefined ? {} : { userAgent }),
    facts: bitsOf(random),
  };
}

function bitsOf(random: SeededRandom): number {
  return random.chance(0.3) ? random.pick([facts.bot, facts.prefetch, facts.denied, facts.allowed]).bit : 0;
}

/** Ids and times of receipt are in the order in which clicks come, as ingest gives them. */
function inOrder(inTime: readonly Click[], late: readonly (readonly Click[])[]): HistoryClicks {
  let received = 0;
  const numbered = (clicks: readonly Click[]) =>
    clicks.map(one => ({ ...one, clickId: click().clickId, receivedAt: end + received++ }));
  return { inTime: numbered(inTime), late: late.map(numbered) };
}

export interface Billed {
  readonly clicks: number;
  readonly copies: number;
  readonly invalidBy: Readonly<Record<string, number>>;
}

/** By `minute (epoch s)|ad|country`. `clicks` are in the order in which they came. */
export function billedOf(clicks: readonly Click[], rulesAt: (minute: number) => ValidityRules): Map<string, Billed> {
  const copies = Map.groupBy(clicks, one => `${minuteOf(one)} ${one.adId} ${one.eventId}`);
  const counted = [...copies.values()].map(of => {
    const [first] = of as [Click];
    return { ...bestOf(of, rulesAt(minuteOf(first))), country: first.country, copies: of.length - 1 };
  });
  const cells = Map.groupBy(counted, one => `${minuteOf(one) / 1_000}|${one.adId}|${one.country}`);
  return new Map(
    [...cells].map(([key, of]) => {
      const invalidBy = invalidOfCell(of, rulesAt(minuteOf(of[0]!)));
      return [key, { clicks: of.length, copies: of.reduce((sum, one) => sum + one.copies, 0), invalidBy }];
    }),
  );
}

export function invalidIn({ invalidBy }: Billed): number {
  return sumOf(invalidBy);
}

function minuteOf({ clickedAt }: Click): number {
  return clickedAt - (clickedAt % minuteMs);
}
