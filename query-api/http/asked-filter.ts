/** Combines `country`, `user_id`, `ip` and `filter` of a request into one filter. All of them must hold. */

import { Type } from 'typebox';
import { brokenRule, explained } from '../../infra/broken-rule.ts';
import { Problem } from '../../infra/http.ts';
import { invalid } from '../../infra/problem.ts';
import { isText, limits } from '../../ingest/click.ts';
import { sameCountry } from '../../ingest/country.ts';
import { type ClickFilter, type Condition, exactly } from '../store/filters/click-filter.ts';
import { addressRangeOf, conditionsOf, textRule } from '../store/filters/filter-definition.ts';
import type { FilterStore } from '../store/filters/filter-store.ts';
import { rawSince, recountableDays } from '../store/raw-retention.ts';
import type { TimeRange } from '../time/time-range.ts';
import type { RangeRules } from './asked-range.ts';
import type { KeptForms } from './kept-forms.ts';
import { asAskedFor, countryParameter } from './parameters.ts';

export const filterIdPattern = explained(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
  '1 to 64 of A-Z a-z 0-9 . _ -, and begin with a letter or a digit',
);

export const filterParameters = {
  country: countryParameter,
  user_id: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: limits.userIdLength,
      description: 'Only clicks of this user. The answer is counted from raw clicks, which are kept for 35 days.',
      examples: ['u-17'],
    }),
  ),
  ip: Type.Optional(
    Type.String({
      maxLength: limits.ipLength,
      description:
        'Only clicks from this IPv4 or IPv6 address, in any notation. The answer is counted from raw clicks.',
      examples: ['203.0.113.7'],
    }),
  ),
  filter: Type.Optional(
    Type.String({
      pattern: filterIdPattern.source,
      description:
        'Only clicks that pass this stored filter (see `/v1/filters`). When several filters are given, all of them must hold.',
      examples: ['no-bots'],
    }),
  ),
};

export interface AskedFilter {
  readonly country?: string | undefined;
  readonly user_id?: string | undefined;
  readonly ip?: string | undefined;
  readonly filter?: string | undefined;
}

/** The fields of an answer that repeat the filter of the request. */
export const filterFields = {
  country: Type.Optional(Type.String({ description: asAskedFor })),
  user_id: Type.Optional(Type.String({ description: asAskedFor })),
  ip: Type.Optional(Type.String({ description: asAskedFor })),
  filter: Type.Optional(Type.String({ description: asAskedFor })),
};

export function shownFilter({ country, user_id, ip, filter }: AskedFilter) {
  return {
    ...(country === undefined ? {} : { country }),
    ...(user_id === undefined ? {} : { user_id }),
    ...(ip === undefined ? {} : { ip }),
    ...(filter === undefined ? {} : { filter }),
  };
}

export interface FilterDeps {
  readonly filters: Pick<FilterStore, 'get'>;
  /** Under which texts a person may be kept. */
  readonly keptForms: KeptForms;
}

/** @throws Problem when a value is invalid, or when no such filter is stored */
export async function filterOf(
  asked: AskedFilter,
  range: TimeRange,
  { filters, keptForms }: FilterDeps,
): Promise<ClickFilter> {
  const conditions: Condition[] = [];
  const { country, user_id: userId, ip, filter: id } = asked;
  if (country !== undefined) conditions.push({ kind: 'country', side: 'in', list: sameCountry(country) });
  if (userId !== undefined) {
    if (!isText(userId, limits.userIdLength)) throw invalid('user_id', userId, textRule);
    conditions.push({ kind: 'user', side: 'in', list: keptForms.ofUserId(userId, range).map(exactly) });
  }
  if (ip !== undefined) {
    const address = ip.includes('/') ? undefined : addressRangeOf(ip);
    if (!address) throw invalid('ip', ip, 'must be an IPv4 or IPv6 address', 'to ask for a network, store a filter');
    const hashed = keptForms
      .ofIp(ip, range)
      .slice(1)
      .flatMap(form => addressRangeOf(form) ?? []);
    conditions.push({ kind: 'ip', side: 'in', list: [address, ...hashed] });
  }
  if (id === undefined) return conditions;
  const stored = await filters.get(id);
  if (stored) return [...conditions, ...conditionsOf(stored.definition)];
  const advice = 'GET /v1/filters lists those it has; one that was put just now may not be stored yet';
  throw new Problem(404, 'not_found', brokenRule('filter', id, 'ClickHouse has no filter with this id', advice));
}

/** @throws Problem when some raw clicks of the range are no longer kept */
export function checkRaw({ from }: TimeRange, { now }: RangeRules): void {
  if (from >= rawSince(now)) return;
  throw invalid(
    'from',
    new Date(from).toISOString(),
    `must be at most ${recountableDays} days ago when the answer needs raw clicks (user_id, ip, uniques, or a filter on users or addresses)`,
    'older raw clicks are not kept',
  );
}
