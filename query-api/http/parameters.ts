/** Parameters and response fields that several routes share: validation, types and documentation in one place. */

import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { ProblemSchema } from '../../infra/http.ts';
import { adIdPattern } from '../../ingest/click.ts';
import { sameCountry } from '../../ingest/country.ts';
import type { Selection } from '../store/ad-counts.ts';
import { askedCountryPattern } from '../store/filters/click-filter.ts';
import type { State } from '../store/finality.ts';
import type { AskedRange } from './asked-range.ts';

export const AdIdParams = Type.Object({
  ad_id: Type.String({ pattern: adIdPattern.source, description: 'the ad', examples: ['ad-42'] }),
});

export const rangeParameters = {
  from: Type.Optional(
    Type.String({
      description: 'begin, inclusive: RFC 3339 with zone, or epoch milliseconds; a whole minute',
      examples: ['2025-11-22T08:26:00Z'],
    }),
  ),
  to: Type.Optional(Type.String({ description: 'end, exclusive: as `from`', examples: ['2025-11-22T08:27:00Z'] })),
};

export const countryParameter = Type.Optional(
  Type.String({
    pattern: askedCountryPattern.source,
    description:
      'only clicks from this country (ISO 3166-1 alpha-2, in capitals or not; ZZ: unknown). Clicks that an earlier release counted under another code of it, as UK of GB, are among them',
    examples: ['KR'],
  }),
);

/** Of a selection that is not made by a filter: every code under which the country stands in rows. */
export function askedCountry(country: string | undefined): Selection['country'] {
  if (country === undefined) return undefined;
  const codes = sameCountry(country);
  return codes.length === 1 ? codes[0] : { in: codes, out: [] };
}

/** Ads that one request may name. */
const maxAds = 20;

export const adIdsParameter = Type.Optional(
  Type.Array(Type.String({ pattern: adIdPattern.source }), {
    maxItems: maxAds,
    description: `the ads, one \`ad_id=\` each, at most ${maxAds}; none: all`,
    examples: [['ad-42', 'ad-7']],
  }),
);

export const GranularityParameter = Type.Enum(['minute', 'hour', 'day'], {
  type: 'string',
  default: 'minute',
  description:
    'length of a point, by the clock of UTC or of the time zone asked for. A range need not lie on its borders: the first point begins with the range, the last one ends with it',
});

export const timezoneParameter = Type.Optional(
  Type.String({
    maxLength: 64,
    description:
      'IANA time zone by whose clock hours and days begin (default: UTC); a day may have 23 or 25 hours. Times are told in UTC all the same',
    examples: ['Asia/Seoul'],
  }),
);

/** In an answer. */
export const timezoneField = Type.Optional(Type.String({ description: 'as asked for' }));

export const stateField = Type.Enum(['provisional', 'final', 'restated'], {
  type: 'string',
  description:
    '`provisional`: clicks may still be added; `final`: only a recount from raw data could change it; `restated`: final, and a recount has changed it',
});

export const pendingLateField = Type.Integer({
  minimum: 0,
  description:
    'clicks of these ads and minutes (of all countries and users) that were accepted, came too late, and wait for the restatement that will count them, as known a second ago (at most a minute, where very many wait). Some may be copies of counted clicks, so it is the most that can be missing',
});

export const timeField = (description: string) => Type.String({ description, examples: ['2025-11-22T08:26:00.000Z'] });
export const countField = (description: string) => Type.Integer({ minimum: 0, description });

/** The same where there may be none. */
export const timeOrNullField = (description: string) =>
  Type.Union([timeField(description), Type.Null()], { description });
export const integerOrNullField = (description: string) => Type.Union([Type.Integer(), Type.Null()], { description });

/** The range of an answer. */
export const rangeFields = { from: timeField('begin, inclusive'), to: timeField('end, exclusive') };

export const watermarkField = Type.Union([timeField('RFC 3339, UTC'), Type.Null()], {
  description:
    'no older click is expected any more; null: not every partition has been heard of, or the source is raw, which has other clicks than are counted just now',
});

/** How far an answer with counts can be relied on. */
export const statedFields = { state: stateField, pending_late: pendingLateField, watermark: watermarkField };

/** As `countFields`, of answers that may come from raw clicks. */
export const anyCountFields = {
  count: countField('distinct clicks'),
  duplicates: countField(
    'further copies of those clicks, not counted; copies that came after their minute was final only where clicks of it were restated, too',
  ),
  late: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
    description:
      'those of the clicks that came after their minute had closed; null where `source` is `raw`, which does not tell',
  }),
};

export const countFields = {
  count: countField('distinct clicks'),
  duplicates: countField(
    'further copies of those clicks, not counted; copies that came after their minute was final only where clicks of it were restated, too',
  ),
  late: countField('those of the clicks that came after their minute had closed'),
};

export const problems = { 400: ProblemSchema, 503: ProblemSchema };

/**
 * As `toISOString` has it. A series has up to 100,000 of them in the order of time, and to find the date anew for each
 * takes five times as long as this. @throws RangeError where it is no time
 */
export function isoOf(ms: number): string {
  const day = Math.floor(ms / dayMs);
  if (day !== lastDate.day) lastDate = { day, text: new Date(ms).toISOString().split('T')[0] ?? '' };
  const ofDay = ms - day * dayMs;
  const seconds = Math.floor(ofDay / 1_000);
  const clock = `${digits[Math.floor(seconds / 3_600)]}:${digits[Math.floor(seconds / 60) % 60]}:${digits[seconds % 60]}`;
  return `${lastDate.text}T${clock}.${String(Math.floor(ofDay % 1_000)).padStart(3, '0')}Z`;
}

const dayMs = 86_400_000;
let lastDate = { day: Number.NaN, text: '' };
const digits = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'));

export function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : isoOf(ms);
}

/**
 * What may be kept is asked for again before it is used (`no-cache`, and see `etag.ts`), but for a final number for which
 * no late click waits: it may be used for a short while unasked (a recount could restate it), if the address says which minutes it is of ("the last
 * minute" is another one soon) and by which rules (a stored filter may be changed). `private-answers.ts` says which of them are for who asked alone.
 */
export function setCaching(
  reply: FastifyReply,
  { state, pendingLate }: { readonly state: State; readonly pendingLate: number },
  asked: AskedRange & { readonly filter?: string },
): void {
  const mayKeep =
    state !== 'provisional' && pendingLate === 0 && asked.from !== undefined && asked.filter === undefined;
  reply.header('cache-control', mayKeep ? 'public, max-age=30' : 'no-cache');
}
