/**
 * Regions: in which one a process is (setting `REGION`), and for which one a key is, so that what a tenant sends stays in
 * the clusters of its region (decision 048).
 *
 * A key that names a region is refused by every process that is not in it, also by one that names none. A key without one
 * is good everywhere.
 */
import { type Static, Type } from 'typebox';
import { brokenRule, explained } from '../broken-rule.ts';
import { ConfigError } from '../errors.ts';
import { Problem } from '../problem.ts';

/** No capitals, so that nobody has EU and eu for two regions, or for one. */
export const regionPattern = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;
export const regionRule = 'must be 1 to 32 of a-z 0-9 -, and begin and end with a letter or a digit';

export const RegionConfig = Type.Object({
  REGION: Type.String({
    default: '',
    pattern: explained(
      /^([a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?)?$/,
      'empty, or 1 to 32 of a-z 0-9 -, and begin and end with a letter or a digit',
    ).source,
    description:
      'the region in which this process and all that it writes into are, such as `eu`; empty: none. A request with a key of another region is refused (403 `wrong_region`). It cannot be used with `API_KEYS=off`, which looks at no key',
  }),
  REGION_URLS: Type.String({
    default: '',
    description:
      'where the same service is in other regions, for the answer to whoever asks in the wrong one: `eu=https://clicks.eu.example,us=https://clicks.us.example`',
  }),
});

export interface Region {
  /** Empty: none. */
  readonly name: string;
  /** By region: where the same service is there. */
  readonly urls: ReadonlyMap<string, string>;
}

export const noRegion: Region = { name: '', urls: new Map() };

type RegionSettings = Static<typeof RegionConfig> & { readonly API_KEYS: string };

/** @throws ConfigError */
export function regionOf({ REGION, REGION_URLS, API_KEYS }: RegionSettings): Region {
  // It would look as if what is limited to another region were refused.
  if (REGION !== '' && API_KEYS === 'off')
    throw new ConfigError(
      `REGION=${REGION}: cannot be used with API_KEYS=off, because keys say for which region a request is, and none is looked at: leave REGION empty, or let API_KEYS be auto or required`,
    );
  return { name: REGION, urls: new Map(REGION_URLS.split(',').filter(Boolean).map(pairOf)) };
}

/** @throws Problem unless what is limited to a region is used in it. `what` says what it is. */
export function requireRegion(what: string, region: string | undefined, here: Region): void {
  if (region !== undefined && !isGoodIn(here, region)) throw wrongRegion(what, region, here);
}

/** Whether what is limited to a region, if to any, may be used here. */
export function isGoodIn({ name }: Region, region: string | undefined): boolean {
  return region === undefined || region === name;
}

/** The code of the problem, of which no more is recorded than that it happened. */
export const wrongRegionCode = 'wrong_region';

function wrongRegion(what: string, region: string, { name, urls }: Region): Problem {
  const url = urls.get(region);
  const detail = `${what} is for region ${region}, and this service is in ${name === '' ? 'no region' : `region ${name}`}: send the request to ${url ?? `the service of region ${region}`}`;
  return new Problem(403, wrongRegionCode, detail, { region, ...(url !== undefined && { url }) });
}

/** @throws ConfigError */
function pairOf(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  const [region, url] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  if (at > 0 && regionPattern.test(region) && isServiceUrl(url)) return [region, url];
  const rule =
    'must be a region and an http or https URL without user and password, as eu=https://clicks.eu.example is';
  throw new ConfigError(brokenRule('REGION_URLS', text, rule));
}

function isServiceUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return (protocol === 'https:' || protocol === 'http:') && username === '' && password === '';
}
