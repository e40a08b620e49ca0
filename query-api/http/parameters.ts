/** The parameters and response fields that several routes share, with their validation, types and documentation. */

import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { ProblemSchema } from '../../infra/http.ts';
import { adIdPattern } from '../../ingest/click.ts';
import { sameCountry } from '../../ingest/country.ts';
import type { Selection } from '../store/ad-counts.ts';
import { askedCountryPattern } from '../store/filters/click-filter.ts';
import type { State } from '../store/finality.ts';
import type { PendingFields } from '../store/pending.ts';
import type { AskedRange } from './asked-range.ts';

/** The description of a field that repeats a parameter. */
export const asAskedFor = 'As given in the request.';

export const AdIdParams = Type.Object({
  ad_id: Type.String({ pattern: adIdPattern.source, description: 'The ad.', examples: ['ad-42'] }),
});

export const rangeParameters = {
  from: Type.Optional(
    Type.String({
      description: 'Start of the range, inclusive: a whole minute, as RFC 3339 with a zone or as epoch milliseconds.',
      examples: ['2025-11-22T08:26:00Z'],
    }),
  ),
  to: Type.Optional(
    Type.String({
      description: 'End of the range, exclusive, in the form of `from`.',
      examples: ['2025-11-22T08:27:00Z'],
    }),
  ),
};

export const countryParameter = Type.Optional(
  Type.String({
    pattern: askedCountryPattern.source,
    description:
      'Only clicks from this country (ISO 3166-1 alpha-2, in capital or small letters; ZZ: unknown). They include clicks that an earlier release counted under another code of the same country, such as UK for GB.',
    examples: ['KR'],
  }),
);

/** Returns every code that rows use for the country. For selections that are not made by a filter. */
export function askedCountry(country: string | undefined): Selection['country'] {
  if (country === undefined) return undefined;
  const codes = sameCountry(country);
  return codes.length === 1 ? codes[0] : { in: codes, out: [] };
}

/** The most ads that one request may name. */
const maxAds = 20;

export const adIdsParameter = Type.Optional(
  Type.Array(Type.String({ pattern: adIdPattern.source }), {
    maxItems: maxAds,
    description: `The ads, each as one \`ad_id=\`, at most ${maxAds}. Left out: all ads.`,
    examples: [['ad-42', 'ad-7']],
  }),
);

export const GranularityParameter = Type.Enum(['minute', 'hour', 'day'], {
  type: 'string',
  default: 'minute',
  description:
    'The length of a point, by the clock of `timezone`, which is UTC by default. The range does not need to begin or end at a full hour or day: the first point starts with the range, and the last point ends with it.',
});

export const timezoneParameter = Type.Optional(
  Type.String({
    maxLength: 64,
    description:
      'The IANA time zone in which hours and days begin (default: UTC). A day may have 23 or 25 hours. Times in the answer are still in UTC.',
    examples: ['Asia/Seoul'],
  }),
);

export const timezoneField = Type.Optional(Type.String({ description: asAskedFor }));

export const stateField = Type.Enum(['provisional', 'final', 'restated'], {
  type: 'string',
  description:
    '`provisional`: clicks may still be added. `final`: only a recount from raw clicks could change it. `restated`: it was final, and a recount has changed it since.',
});

const pendingLateField = Type.Integer({
  minimum: 0,
  description:
    'How many accepted clicks of these ads and minutes (of all countries and users) came too late and wait for the restatement that will count them. The number is about a second old, or up to a minute when very many wait. Some may be copies of counted clicks, so it is the most that can be missing.',
});

const pendingSplitField = Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
  description:
    'How many net clicks of these ads and minutes (of all countries and users) may turn out to be invalid: clicks of split ads in final minutes that wait for the restatement in which caps are applied to all partitions together. Their invalid clicks can become at most so many more. Null: Kafka did not answer, so it is not known which ads were split.',
});

/** What waits for a restatement. */
export const pendingFields = { pending_late: pendingLateField, pending_split: pendingSplitField };

export const timeField = (description: string) => Type.String({ description, examples: ['2025-11-22T08:26:00.000Z'] });
export const countField = (description: string) => Type.Integer({ minimum: 0, description });

/** The description says what null means. */
export const timeOrNullField = (description: string) =>
  Type.Union([timeField(description), Type.Null()], { description });
export const integerOrNullField = (description: string) => Type.Union([Type.Integer(), Type.Null()], { description });

/** The range that an answer is about. */
export const rangeFields = {
  from: timeField('Start of the range, inclusive.'),
  to: timeField('End of the range, exclusive.'),
};

export const watermarkField = timeOrNullField(
  'No older click is expected any more. Null: some partition has not reported yet, or the answer is counted from raw clicks that are not yet the same as the counted ones.',
);

/** The fields that say how final the counts of an answer are. */
export const statedFields = { state: stateField, ...pendingFields, watermark: watermarkField };

const countDescription =
  'Net clicks, which are those to bill. With `clicks=gross`, gross clicks. When `source` is `raw`, distinct clicks, or gross ones.';
const grossDescription = 'All clicks with their copies: duplicates + invalid + net.';
const netDescription = 'Distinct clicks without the invalid ones.';
const invalidDescription = 'Distinct clicks that a rule of invalid traffic leaves out of `net` (see `GET /v1/rules`).';
const fromRaw = 'Null when `source` is `raw`, because raw clicks do not say which are invalid.';
const wholeOrNull = (description: string) => Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], { description });

/** Clicks of an answer that is never made from raw clicks. */
export const clicksFields = {
  count: countField(countDescription),
  gross: countField(grossDescription),
  net: countField(netDescription),
  invalid: countField(invalidDescription),
};

/** Clicks of an answer that may be made from raw clicks. */
export const anyClicksFields = {
  ...clicksFields,
  net: wholeOrNull(`${netDescription} ${fromRaw}`),
  invalid: wholeOrNull(`${invalidDescription} ${fromRaw}`),
};

/** What a restatement has changed. */
export const changeFields = {
  before: countField('Distinct clicks before the change.'),
  after: countField('Distinct clicks after the change.'),
  before_net: countField('Those of them that were not invalid.'),
  after_net: countField('Those of them that are not invalid.'),
  before_rules: countField(
    'The version of the rules by which the clicks were judged before (see GET /v1/rules). 0: none.',
  ),
  after_rules: countField('The version by which they are judged since. 0: none.'),
};

const copiesFields = {
  duplicates: countField(
    'Further copies of these clicks, which are not counted. Copies that came after their minute was final are included only if clicks of that minute were restated too.',
  ),
  late: countField('How many of the clicks came after their minute had closed.'),
};

/** Counts of an answer that is never made from raw clicks. */
export const countFields = { ...clicksFields, ...copiesFields };

/** Counts of an answer that may be made from raw clicks. */
export const anyCountFields = {
  ...anyClicksFields,
  ...copiesFields,
  late: wholeOrNull(
    'How many of the clicks came after their minute had closed. Null when `source` is `raw`, because raw clicks do not say it.',
  ),
};

export const problems = { 400: ProblemSchema, 503: ProblemSchema };

/**
 * Returns the same text as `toISOString`. A series has up to 100,000 times in order, and computing the date for each of
 * them would take five times as long. @throws RangeError when `ms` is not a time
 */
export function isoOf(ms: number): string {
  const day = Math.floor(ms / dayMs);
  if (day !== lastDate.day || ms > lastTimeMs) lastDate = { day, text: new Date(ms).toISOString().split('T')[0] ?? '' };
  const ofDay = ms - day * dayMs;
  const seconds = Math.floor(ofDay / 1_000);
  const clock = `${digits[Math.floor(seconds / 3_600)]}:${digits[Math.floor(seconds / 60) % 60]}:${digits[seconds % 60]}`;
  return `${lastDate.text}T${clock}.${String(Math.floor(ofDay % 1_000)).padStart(3, '0')}Z`;
}

const dayMs = 86_400_000;
/** The last time that a Date can be. Its day has no other. */
const lastTimeMs = 8_640_000_000_000_000;
let lastDate = { day: Number.NaN, text: '' };
const digits = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'));

export function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : isoOf(ms);
}

/**
 * Sets how long an answer may be cached. Usually a cache must ask again before it uses an answer (`no-cache`, see
 * `etag.ts`). A final answer for which nothing waits may be used without asking for a short time. The time is
 * short, because a recount could restate it. Two kinds of answers are excluded although they are final: those without
 * `from`, because "the last minute" soon means another one, and those with a stored filter, because the filter may be
 * changed. `private-answers.ts` decides which answers only one client may keep.
 */
export function setCaching(
  reply: FastifyReply,
  { state, pending_late, pending_split }: PendingFields & { readonly state: State },
  asked: AskedRange & { readonly filter?: string },
): void {
  const mayKeep =
    state !== 'provisional' &&
    pending_late === 0 &&
    pending_split === 0 &&
    asked.from !== undefined &&
    asked.filter === undefined;
  reply.header('cache-control', mayKeep ? 'public, max-age=30' : 'no-cache');
}
