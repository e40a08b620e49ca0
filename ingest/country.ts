/**
 * CONTRACT: defines the country of a click, and which codes in stored rows mean the same country (infra/decisions/033).
 *
 * Ingest writes two capital letters, so that readers can scan bytes (`record-reader.ts`): a country of ISO 3166-1, one
 * of three further codes that geo databases use, or `ZZ` where no country is known. Rows of earlier releases keep any
 * two letters that they have. A query for a country also returns the rows with its other codes (`sameCountry`).
 */

export const unknownCountry = 'ZZ';

/**
 * Returns the code that is written for a posted text, or undefined if the text neither names a country nor says that
 * none is known. Case does not matter. `UK`, which ISO reserves, becomes `GB`. The codes with which geo databases and
 * content networks say that no country is known become `ZZ`.
 */
export function countryOf(text: string): string | undefined {
  // Outside of ASCII, some letters have a capital that is another letter: a dotless i would make Indonesia.
  if (!/^[A-Za-z][A-Za-z0-9]$/.test(text)) return undefined;
  const country = countryCode(text);
  return isCountry(country.charCodeAt(0), country.charCodeAt(1)) ? country : undefined;
}

/**
 * Returns the code that is written for `code`. If it is not such a code, returns it in capitals, because rows of
 * earlier releases may have it.
 */
export function countryCode(code: string): string {
  const capitals = code.toUpperCase();
  return aliases.get(capitals) ?? capitals;
}

/** Returns whether these two bytes, or characters, are a code as it is written. */
export function isCountry(first: number, second: number): boolean {
  return first < 0x80 && second < 0x80 && written[(first << 7) | second] === 1;
}

/**
 * Returns all codes under which the clicks of `code` are stored. A code that is no longer written is returned alone.
 */
export function sameCountry(code: string): readonly string[] {
  const country = countryCode(code);
  const others = [...formerCodes].flatMap(([code, of]) => (of === country ? [code] : []));
  return [country, ...others];
}

/** Maps posted codes to the written one. Earlier releases refused those with a digit. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['UK', 'GB'],
  // Cloudflare: unknown, Tor. MaxMind: anonymous proxy, satellite provider, another country.
  ...['XX', 'T1', 'A1', 'A2', 'O1'].map((code): [string, string] => [code, unknownCountry]),
]);

/** Maps codes that rows of earlier releases may have to the one that is written now. */
export const formerCodes: ReadonlyMap<string, string> = new Map(
  [...aliases].filter(([code]) => /^[A-Z]{2}$/.test(code)),
);

/**
 * ISO 3166-1 alpha-2, the officially assigned codes, as the ISO Online Browsing Platform lists them. Unchanged since
 * 2011.
 */
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

/** Further codes of geo databases: Kosovo, and Europe or Asia and the Pacific where they know nothing more exact. */
export const kept = ['XK', 'EU', 'AP', unknownCountry];

const written = new Uint8Array(1 << 14);
for (const code of [...isoCountries, ...kept]) written[(code.charCodeAt(0) << 7) | code.charCodeAt(1)] = 1;
