/**
 * Documents a posted click for OpenAPI. It checks nothing: the rules are in `click-body.ts`, and a property test keeps
 * both equal. It also documents which values of a field are accepted and then left out.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { adIdPattern, limits } from './click.ts';

const empty = Type.Literal('', { description: 'not given' });
const leftOut = Type.Unknown({ description: 'any other value is left out, and `warnings` says so' });

/** A field that may be left out, null or empty, which all mean the same. */
function maybe<T extends TSchema[]>(types: [...T], description: string) {
  return Type.Optional(Type.Union([...types, empty, Type.Null()], { description }));
}

/** A field that is left out when it breaks a rule. The click still counts. */
function extra<T extends TSchema>(type: T, description: string) {
  return Type.Optional(Type.Union([type, empty, Type.Null(), leftOut], { description }));
}

export const ClickBody = Type.Object(
  {
    ad_id: Type.String({
      pattern: `^(?!\\.\\.?$)${adIdPattern.source.slice(1)}`,
      description: 'the ad that was clicked: 1 to 128 of `A-Z a-z 0-9 . _ : -`, but not `.` or `..`',
    }),
    clicked_at: maybe(
      [Type.String({ format: 'date-time' }), Type.Integer({ minimum: 0 })],
      'RFC 3339 or epoch ms, from 7 days ago to 5 minutes ahead. It may be missing only if event_id is missing, too; then it is the time of receipt',
    ),
    event_id: maybe(
      [Type.String({ minLength: 1, maxLength: limits.eventIdLength })],
      `together with ad_id, the identity of the click: a click that is posted again with the same ad_id, event_id and clicked_at counts once. 1 to ${limits.eventIdLength} Unicode code points, no control characters, not \`.\` or \`..\``,
    ),
    country: extra(
      Type.String({ pattern: '^[A-Za-z][A-Za-z0-9]$' }),
      'ISO 3166-1 alpha-2, in capital or small letters. `UK` means GB; `XK`, `EU` and `AP` are kept. `XX`, `T1`, `A1`, `A2`, `O1` and ZZ mean unknown, which is counted as ZZ and is the default',
    ),
    user_id: extra(
      Type.String({ minLength: 1, maxLength: limits.userIdLength }),
      `the user who clicked: 1 to ${limits.userIdLength} Unicode code points, no control characters, not \`.\` or \`..\``,
    ),
    ip: extra(
      Type.String({ maxLength: limits.ipLength }),
      'IPv4 or IPv6 address of the user who clicked, without port, zone or brackets',
    ),
    user_agent: extra(
      Type.String({ minLength: 1, maxLength: limits.userAgentLength }),
      `header User-Agent of the browser: 1 to ${limits.userAgentLength} Unicode code points, no control characters`,
    ),
    referrer: extra(
      Type.String({ pattern: '^[Hh][Tt][Tt][Pp][Ss]?:' }),
      'the address of the page on which was clicked, with http or https. Only its origin is kept',
    ),
    purpose: extra(
      Type.Union([Type.Literal('prefetch'), Type.Literal('head')]),
      '`prefetch` if a program has loaded the link before anybody clicked (header Sec-Purpose), `head` if it has only asked whether it works (method HEAD)',
    ),
    facts: extra(
      Type.String({ pattern: `^[a-z]{1,${limits.factsLength}}$` }),
      'what was found out about the click when it was received first: letters, as exports and quarantined lines have them. They are added to what is found out now, so that a click that is posted again is as good as it was',
    ),
  },
  {
    description:
      'a click. Fields that are not listed here are ignored and named in the answer (`ignored_fields`); with `?strict=true` they are refused',
    examples: [{ ad_id: 'ad-42', event_id: 'b3c1', clicked_at: '2026-01-01T12:00:00.123Z', country: 'KR' }],
  },
);
export type ClickBody = Static<typeof ClickBody>;
