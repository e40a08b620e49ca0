/**
 * What rules must say of the clicks of a log, stated a second time and in another way than in `aggregator/core/`: sums
 * over sets of clicks, without any order. Shares no code with it.
 */
import type { InvalidBy } from '../../aggregator/ad-minute.ts';
import type { Click } from '../../ingest/click.ts';
import { facts } from '../../ingest/validity/facts.ts';
import type { InvalidReason, ValidityRules } from '../../ingest/validity/rules.ts';

/**
 * `minute (epoch s)|ad|country` → its invalid clicks by reason, without zeroes. Copies of a click must be equal, but for
 * their facts: of these the best copy's count.
 */
export function invalidOf(
  clicks: readonly Click[],
  rulesAt: (minute: number) => ValidityRules,
): Map<string, Record<string, number>> {
  const copies = Map.groupBy(clicks, click => `${minuteOf(click)} ${click.adId} ${click.eventId}`);
  const distinct = [...copies.values()].map(of => bestOf(of, rulesAt(minuteOf(of[0]!))));
  const cells = Map.groupBy(distinct, click => `${minuteOf(click) / 1_000}|${click.adId}|${click.country}`);
  return new Map([...cells].map(([key, of]) => [key, invalidOfCell(of, rulesAt(minuteOf(of[0]!)))]));
}

/** That which its facts make valid, or else the one whose reason is asked for first. */
export function bestOf(copies: readonly Click[], rules: ValidityRules): Click {
  const noCaps = { double_click_seconds: 0, user_clicks_per_minute: 0, address_clicks_per_minute: 0 };
  const byFacts = { ...rules, ...noCaps, ad_clicks_per_minute: 0 } as const;
  const badness = (click: Click) => {
    const [reason] = Object.keys(invalidOfCell([click], byFacts));
    return reason === undefined ? -1 : Object.keys(rules).indexOf(reason);
  };
  return copies.reduce((best, click) => (badness(click) < badness(best) ? click : best));
}

export function invalidOfCell(clicks: readonly Click[], rules: ValidityRules): Record<string, number> {
  const sums: Record<string, number> = {};
  const add = (reason: InvalidReason, n: number) => {
    if (n > 0) sums[reason] = (sums[reason] ?? 0) + n;
  };
  const has = ({ facts: bits = 0 }: Click, fact: keyof typeof facts) => (bits & facts[fact].bit) > 0;
  let left = clicks.filter(click => !has(click, 'allowed'));
  const byFact = (applies: boolean, fact: keyof typeof facts, reason: InvalidReason) => {
    if (!applies) return;
    add(reason, left.filter(click => has(click, fact)).length);
    left = left.filter(click => !has(click, fact));
  };
  byFact(rules.denied, 'denied', 'denied');
  byFact(rules.known_bot, 'bot', 'known_bot');
  byFact(rules.datacentre, 'datacentre', 'datacentre');
  byFact(rules.prefetch, 'prefetch', 'prefetch');
  byFact(rules.missing_field, 'missing', 'missing_field');
  byFact(rules.impossible_field, 'impossible', 'impossible_field');

  const { user_clicks_per_minute: userCap, address_clicks_per_minute: addressCap } = rules;
  const step = rules.double_click_seconds * 1_000;
  const ofAddress = new Map<string, number>();
  let through = 0;
  for (const [name, of] of Map.groupBy(left, personOf)) {
    const steps = step === 0 ? of.length : new Set(of.map(c => Math.floor((c.clickedAt % 60_000) / step))).size;
    const slow = name.isNobody ? of.length : steps;
    const passed = name.hasUserId && userCap > 0 ? Math.min(slow, userCap) : slow;
    add('double_click', of.length - slow);
    add('user_velocity', slow - passed);
    ofAddress.set(name.ip ?? '', (ofAddress.get(name.ip ?? '') ?? 0) + passed);
  }
  for (const [ip, n] of ofAddress) {
    const passed = ip === '' || addressCap === 0 ? n : Math.min(n, addressCap);
    add('address_velocity', n - passed);
    through += passed;
  }
  if (rules.ad_clicks_per_minute > 0) add('ad_velocity', Math.max(0, through - rules.ad_clicks_per_minute));
  return sums;
}

interface Person {
  readonly ip: string | undefined;
  readonly isNobody: boolean;
  readonly hasUserId: boolean;
}

/** One object for each person. */
const people = new Map<string, Person>();

function personOf({ userId, ip, userAgent }: Click): Person {
  const isNobody = userId === undefined && (ip === undefined || userAgent === undefined);
  const name = JSON.stringify([ip, isNobody ? [] : userId === undefined ? { userAgent } : { userId }]);
  const known = people.get(name) ?? { ip, isNobody, hasUserId: userId !== undefined };
  people.set(name, known);
  return known;
}

export function sumOf(by: InvalidBy | Record<string, number>): number {
  return Object.values(by).reduce((sum, n) => sum + n, 0);
}

function minuteOf({ clickedAt }: Click): number {
  return clickedAt - (clickedAt % 60_000);
}
