/**
 * Makes of a click that was judged the click that is kept. Its address gets the one spelling that it has. Its country is
 * found by its address if it is not known, and its facts by address, user agent and purpose (fact-finding/); those that
 * it was posted with stay. Only then address, user id and user agent become what the settings keep of them (privacy/): of
 * a hash, nobody can tell the network any more.
 */
import { canonicalAddress } from './canonical-address.ts';
import type { Click } from './click.ts';
import { unknownCountry } from './country.ts';
import type { FactFinder } from './fact-finding/fact-finder.ts';
import type { CountryOfAddress } from './geo-country.ts';
import type { PersonalData } from './privacy/personal-data.ts';

export interface KeptFields {
  /** Left out: the fields are kept as they are. */
  readonly personal?: PersonalData | undefined;
  /** Left out: a country that was not posted stays unknown. */
  readonly countryOfAddress?: CountryOfAddress | undefined;
  /** Left out: nothing is found out. */
  readonly finder?: FactFinder | undefined;
}

/** `sentBy`: a browser that sends a click itself sends fields that who posts clicks may not have. */
export function keptClick(click: Click, kept: KeptFields, sentBy: 'client' | 'browser' = 'client'): Click {
  const { personal, countryOfAddress, finder } = kept;
  const { userId, userAgent, purpose, clickedAt } = click;
  const ip = click.ip === undefined ? undefined : canonicalAddress(click.ip);
  const isFound = click.country === unknownCountry && ip !== undefined && countryOfAddress !== undefined;
  const found = (finder?.factsOf(ip, userAgent, purpose, sentBy === 'browser') ?? 0) | (click.facts ?? 0);
  const country = isFound ? countryOfAddress(ip) : click.country;
  const known = { ...click, ip, country, ...(found !== 0 && { facts: found }) };
  if (personal === undefined) return known;
  return {
    ...known,
    userId: userId === undefined ? undefined : personal.keptUserId(userId, clickedAt),
    ip: ip === undefined ? undefined : personal[sentBy === 'browser' ? 'keptVisitorIp' : 'keptIp'](ip, clickedAt),
    userAgent: personal.keepsUserAgent ? userAgent : undefined,
  };
}
