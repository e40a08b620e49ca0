/** Pure: the definition of a stored filter as its owner writes it, its rules, and the conditions that it stands for. */

import { isIP } from 'node:net';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { Problem } from '../../../infra/http.ts';
import { invalid } from '../../../infra/problem.ts';
import { release } from '../../../infra/release.ts';
import { isText, limits } from '../../../ingest/click.ts';
import { countryCode, sameCountry } from '../../../ingest/country.ts';
import { parsedJson } from '../sql/read-rows.ts';
import { type AddressRange, askedCountryPattern, type ClickFilter, type Condition, likeOf } from './click-filter.ts';

/** The limit for one list. */
const maxEntries = 100;

const lists = (entry: string, items: { readonly pattern?: string; readonly maxLength?: number }) => {
  const list = Type.Array(Type.String({ minLength: 1, ...items }), { minItems: 1, maxItems: maxEntries });
  return Type.Optional(
    Type.Object(
      {
        in: Type.Optional({ ...list, description: `only clicks whose ${entry} is one of these` }),
        out: Type.Optional({ ...list, description: `no click whose ${entry} is one of these` }),
      },
      { additionalProperties: false, minProperties: 1 },
    ),
  );
};

export const FilterDefinition = Type.Object(
  {
    countries: lists('country (ISO 3166-1 alpha-2, in capitals or not; ZZ: unknown)', {
      pattern: askedCountryPattern.source,
    }),
    ips: lists('address or network (CIDR)', { maxLength: limits.ipLength + 4 }),
    user_ids: lists('user id (`*` stands for any characters)', { maxLength: limits.userIdLength }),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    description: 'all that is given must hold; a click without a user or an address matches none of their lists',
    examples: [
      { countries: { in: ['KR', 'JP'] }, ips: { out: ['10.0.0.0/8', '2001:db8::/32'] }, user_ids: { out: ['bot-*'] } },
    ],
  },
);
export type FilterDefinition = Static<typeof FilterDefinition>;

/**
 * Returns a definition that any release has stored. A condition that this release does not know cannot be ignored,
 * because the count would be wrong.
 * @throws Problem when a newer release has stored what this release does not know
 */
export function storedDefinition(id: string, text: string): FilterDefinition {
  const definition = parsedJson(text);
  if (Value.Check(FilterDefinition, definition)) return definition;
  const rule = `contains what release ${release} does not know: ask a newer release, or put the filter again`;
  throw new Problem(503, 'unknown_format', `stored filter "${id}": ${rule}`);
}

/** Returns the definition as it is stored. Earlier releases know only capital letters, and codes without digits. */
export function normalDefinition(definition: FilterDefinition): FilterDefinition {
  const { countries } = definition;
  if (countries === undefined) return definition;
  const normal = (list: readonly string[] | undefined) => list && [...new Set(list.map(countryCode))];
  const [inside, outside] = [normal(countries.in), normal(countries.out)];
  return { ...definition, countries: { ...(inside && { in: inside }), ...(outside && { out: outside }) } };
}

/** @throws Problem for what the schema cannot check */
export function conditionsOf({ countries, ips, user_ids }: FilterDefinition): ClickFilter {
  const conditions: Condition[] = [];
  for (const side of ['in', 'out'] as const) {
    if (countries?.[side]) conditions.push({ kind: 'country', side, list: countries[side].flatMap(sameCountry) });
    if (ips?.[side]) {
      const list = ips[side].map((text, i) => addressRangeOf(text) ?? refuse(`ips.${side}.${i}`, text, addressRule));
      conditions.push({ kind: 'ip', side, list });
    }
    if (user_ids?.[side]) {
      const list = user_ids[side].map((text, i) =>
        isText(text, limits.userIdLength) ? likeOf(text) : refuse(`user_ids.${side}.${i}`, text, textRule),
      );
      conditions.push({ kind: 'user', side, list });
    }
  }
  return conditions;
}

/** Parses an address, or a network in CIDR notation. Returns undefined when the text is neither. */
export function addressRangeOf(text: string): AddressRange | undefined {
  const [, address = '', bits] = /^([^/%]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const family = isIP(address);
  if (family === 0) return undefined;
  const own = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? own : Number(bits);
  return prefix > own ? undefined : { address, prefix: prefix + 128 - own };
}

const addressRule = 'must be an IPv4 or IPv6 address, or a network such as 10.0.0.0/8';
export const textRule = `must be 1 to ${limits.userIdLength} characters (Unicode code points) without control characters`;

function refuse(field: string, value: string, rule: string): never {
  throw invalid(field, value, rule);
}
