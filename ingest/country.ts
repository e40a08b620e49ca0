/**
 * CONTRACT: defines the country of a click, and which codes in stored rows mean the same country (infra/decisions/033).
 *
 * Ingest writes two capital letters, so that readers can scan bytes (`record-reader.ts`): a country of ISO 3166-1, one
 * of three further codes that geo databases use, or `ZZ` where no country is known. Rows of earlier releases keep any
 * two letters that they have. A query for a country also returns the rows with its other codes (`sameCountry`).
 */

export const unknownCountry = 'ZZ';

/**
 * The code that is written for a posted text; undefined where it names no country and says nothing of one. Case does not
 * matter. `UK`, which ISO keeps from being anything else, becomes `GB`; what geo databases and content networks give
 * where they know of no country becomes `ZZ`.
 */
export function countryOf(text: string): string | undefined {
  // Beyond ASCII there are letters whose capital is another one: a dotless i would make Indonesia of it.
  if (!/^[A-Za-z][A-Za-z0-9]$/.test(text)) return undefined;
  const country = countryCode(text);
  return isCountry(country.charCodeAt(0), country.charCodeAt(1)) ? country : undefined;
}

/** The code that is written for `code`, or itself in capitals where it is none: rows of earlier releases may have it. */
export function countryCode(code: string): string {
  const capitals = code.toUpperCase();
  return aliases.get(capitals) ?? capitals;
}

/** Whether these two bytes, or characters, are a code as it is written. */
export function isCountry(first: number, second: number): boolean {
  return first < 0x80 && second < 0x80 && written[(first << 7) | second] === 1;
}

/** All codes under which the clicks of `code` stand in rows; `code` itself where it is none that is written any more. */
export function sameCountry(code: string): readonly string[] {
  const country = countryCode(code);
  const others = [...formerCodes].flatMap(([code, of]) => (of === country ? [code] : []));
  return [country, ...others];
}

/** Of a posted code, the one that is written. Those with a digit were refused by earlier releases. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['UK', 'GB'],
  // Cloudflare: unknown, Tor. MaxMind: anonymous proxy, satellite provider, another country.
  ...['XX', 'T1', 'A1', 'A2', 'O1'].map((code): [string, string] => [code, unknownCountry]),
]);

/** Of codes that rows of earlier releases may have, the one that is written now. */
export const formerCodes: ReadonlyMap<string, string> = new Map(
  [...aliases].filter(([code]) => /^[A-Z]{2}$/.test(code)),
);

/** ISO 3166-1 alpha-2, officially assigned codes, as the ISO Online Browsing Platform lists them: unchanged since 2011. */
export const isoCountries = `
  AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
  CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
  GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP
  KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT
  MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
  SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ
  UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW`
  .trim()
  .split(/\s+/);

/** What geo databases give beside them: Kosovo, and Europe or Asia and the Pacific where they know no more. */
export const kept = ['XK', 'EU', 'AP', unknownCountry];

const written = new Uint8Array(1 << 14);
for (const code of [...isoCountries, ...kept]) written[(code.charCodeAt(0) << 7) | code.charCodeAt(1)] = 1;
