/**
 * Makes of a click that was judged the click that is kept: its country is found by its address if it is not known, and
 * then its address and its user id become what the settings keep of them (privacy/).
 */
import type { Click } from './click.ts';
import { unknownCountry } from './country.ts';
import type { CountryOfAddress } from './geo-country.ts';
import type { PersonalData } from './privacy/personal-data.ts';

export interface KeptFields {
  /** Left out: both fields are kept as they are. */
  readonly personal?: PersonalData | undefined;
  /** Left out: a country that was not posted stays unknown. */
  readonly countryOfAddress?: CountryOfAddress | undefined;
}

/** `visitor`: the address by which the country is found. A click that a browser has sent itself does not bear one. */
export function keptClick(click: Click, { personal, countryOfAddress }: KeptFields, visitor = click.ip): Click {
  const { userId, ip, clickedAt } = click;
  const isFound = click.country === unknownCountry && visitor !== undefined && countryOfAddress !== undefined;
  const located = isFound ? { ...click, country: countryOfAddress(visitor) } : click;
  if (personal === undefined) return located;
  return {
    ...located,
    userId: userId === undefined ? undefined : personal.keptUserId(userId, clickedAt),
    ip: ip === undefined ? undefined : personal.keptIp(ip, clickedAt),
  };
}
