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

export function keptClick(click: Click, { personal, countryOfAddress }: KeptFields): Click {
  const { userId, ip, clickedAt } = click;
  const isFound = click.country === unknownCountry && ip !== undefined && countryOfAddress !== undefined;
  const located = isFound ? { ...click, country: countryOfAddress(ip) } : click;
  if (personal === undefined) return located;
  return {
    ...located,
    userId: userId === undefined ? undefined : personal.keptUserId(userId, clickedAt),
    ip: ip === undefined ? undefined : personal.keptIp(ip, clickedAt),
  };
}
