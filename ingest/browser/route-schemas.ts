/** Documents the requests of pages for OpenAPI. It checks nothing: beacon.ts, pixel.ts and page-origin.ts do. */
import { Type } from 'typebox';
import { ProblemSchema } from '../../infra/http.ts';
import { adIdPattern, limits } from '../click.ts';
import { maxBeaconClicks } from './beacon.ts';

const PageClick = Type.Object(
  {
    ad_id: Type.String({ pattern: adIdPattern.source, description: 'the ad; it begins with the prefix of the key' }),
    event_id: Type.String({
      minLength: 1,
      maxLength: limits.eventIdLength,
      description: 'together with ad_id, the identity of the click: made once, and the same when it is sent again',
    }),
    clicked_at: Type.Optional(
      Type.Union([Type.String({ format: 'date-time' }), Type.Integer({ minimum: 0 })], {
        description:
          'RFC 3339 or epoch ms, by the clock of the browser. If it differs from the time of arrival by more than a minute, or is missing, the click has the time of arrival',
      }),
    ),
  },
  { description: 'a click; further fields are ignored' },
);

const PageClicks = Type.String({ description: `one click of JSON in each line, at most ${maxBeaconClicks}` });

export const beaconSchema = {
  tags: ['clicks'],
  operationId: 'sendBeacon',
  summary: 'Send clicks from a page, as navigator.sendBeacon does',
  description:
    'The clicks are kept before the answer is sent, which has no body. The page must be of an origin that the key allows: header Origin says so. Send text, as text/plain, which browsers do without a preflight. Preflights (OPTIONS) are answered, without credentials. If some clicks are valid, they are kept and the others are quarantined.',
  body: {
    content: {
      'text/plain': { schema: PageClicks },
      'application/json': { schema: Type.Union([PageClick, Type.Array(PageClick, { minItems: 1 })]) },
    },
  },
  response: {
    204: Type.Null({ description: 'At least one click is kept' }),
    400: ProblemSchema,
    403: ProblemSchema,
    413: ProblemSchema,
    415: ProblemSchema,
    429: ProblemSchema,
    503: ProblemSchema,
  },
};

export const pixelSchema = {
  tags: ['clicks'],
  operationId: 'loadPixel',
  summary: 'Count a click by a picture of one pixel, for pages without scripts',
  description:
    'The click is kept before the picture is sent. The page must be of an origin that the key allows: header Referer says so. Loads with the same ad_id, e and t are one click.',
  params: Type.Object({ ad_id: Type.String({ description: 'the ad; it begins with the prefix of the key' }) }),
  querystring: Type.Object({
    e: Type.String({ description: 'event id: together with the ad, the identity of the click' }),
    t: Type.Optional(
      Type.String({
        description:
          'when the page was made, in epoch seconds: the time of the click, at most 10 minutes ago. Without it, the time of the load',
      }),
    ),
  }),
  response: {
    200: {
      description: 'A transparent picture of one pixel',
      content: { 'image/gif': { schema: Type.String({ format: 'binary' }) } },
    },
    400: ProblemSchema,
    403: ProblemSchema,
    429: ProblemSchema,
    503: ProblemSchema,
  },
};

export const scriptSchema = {
  tags: ['clicks'],
  operationId: 'getClickScript',
  summary: 'The script with which pages send clicks',
  description:
    'Pages load it with an element `script`, whose attribute `data-key` has the public key, and mark what counts as a click with the attribute `data-adclick`.',
  response: {
    200: {
      description: 'JavaScript of at most 1 KB',
      content: { 'text/javascript': { schema: Type.String() } },
    },
  },
};
