/**
 * Pure: says which rule of invalid traffic a click breaks (ingest/validity/rules.ts), for whoever asks about one click.
 *
 * The facts of a click decide alone. If they say nothing, the caps do, and they look at all clicks of its cell (ad,
 * country, minute). How many clicks a cap lets through does not depend on an order, so the sums of a cell need none. To
 * say of one click that it was one too many needs an order, and it is here that of event time and then event id.
 */

import { facts, factsIn } from '../../ingest/validity/facts.ts';
import { hasCaps, type InvalidReason, type ValidityRules } from '../../ingest/validity/rules.ts';

/** A click of a cell, without copies. */
export interface CellClick {
  readonly event_id: string;
  /** Milliseconds since the begin of the minute. */
  readonly ms: number;
  /** Letters, as in its line. */
  readonly facts: string;
  /** Any text that is equal for equal persons at one address. Empty: nobody. */
  readonly person: string;
  /** The same for persons who have a user id. Empty: the person has none. */
  readonly user: string;
  /** Any text that is equal for equal addresses. Empty: none. */
  readonly address: string;
}

/** Returns the reason that the facts give, or null. */
export function reasonOfFacts(letters: string, rules: ValidityRules): InvalidReason | null {
  const bits = factsIn(letters);
  if ((bits & facts.allowed.bit) !== 0) return null;
  const found = factRules.find(([reason, { bit }]) => rules[reason] && (bits & bit) !== 0);
  return found?.[0] ?? null;
}

/** Returns the letters of the facts by which rules make a click invalid, in the order in which they apply. */
export function invalidLetters(rules: ValidityRules): string[] {
  return factRules.flatMap(([reason, { letter }]) => (rules[reason] ? [letter] : []));
}

/** In the order in which they apply. */
const factRules = [
  ['denied', facts.denied],
  ['known_bot', facts.bot],
  ['datacentre', facts.datacentre],
  ['prefetch', facts.prefetch],
  ['missing_field', facts.missing],
  ['impossible_field', facts.impossible],
] as const;

/** Whether a click without a reason by its facts may still be one too many. */
export function needsCaps(letters: string, rules: ValidityRules): boolean {
  return (factsIn(letters) & facts.allowed.bit) === 0 && hasCaps(rules);
}

/** Returns why clicks are invalid, by event id. Valid ones are left out. `clicks` are all clicks of one cell. */
export function invalidOf(clicks: readonly CellClick[], rules: ValidityRules): ReadonlyMap<string, InvalidReason> {
  const invalid = new Map<string, InvalidReason>();
  const capsOf = createCaps(rules);
  const inOrder = [...clicks].sort((a, b) => a.ms - b.ms || (a.event_id < b.event_id ? -1 : 1));
  for (const click of inOrder) {
    const byFacts = reasonOfFacts(click.facts, rules);
    const reason = byFacts ?? (needsCaps(click.facts, rules) ? capsOf(click) : null);
    if (reason !== null) invalid.set(click.event_id, reason);
  }
  return invalid;
}

/** Each cap sees only what the caps before it have let through. */
function createCaps(rules: ValidityRules): (click: CellClick) => InvalidReason | null {
  const steps = new Set<string>();
  const ofUser = createCap(rules.user_clicks_per_minute);
  const ofAddress = createCap(rules.address_clicks_per_minute);
  const ofCell = createCap(rules.ad_clicks_per_minute);
  const stepMs = rules.double_click_seconds * 1_000;
  return ({ ms, person, user, address }) => {
    if (person !== '' && stepMs > 0) {
      const step = `${Math.floor(ms / stepMs)} ${person}`;
      if (steps.has(step)) return 'double_click';
      steps.add(step);
    }
    if (user !== '' && !ofUser(user)) return 'user_velocity';
    if (address !== '' && !ofAddress(address)) return 'address_velocity';
    return ofCell('') ? null : 'ad_velocity';
  };
}

/** Returns what says whether one more click of a name is let through. 0 means that there is no cap. */
function createCap(most: number): (name: string) => boolean {
  const taken = new Map<string, number>();
  return name => {
    const n = (taken.get(name) ?? 0) + 1;
    if (most === 0) return true;
    if (n > most) return false;
    taken.set(name, n);
    return true;
  };
}
