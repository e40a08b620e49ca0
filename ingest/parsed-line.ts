/** Reads a line of topic `clicks` that is not canonical as JSON: the slow path of `record-reader.ts`. */
import { adIdPattern, type Click, countryPattern, isText, limits, parseTime } from './click.ts';
import { unknownCountry } from './country.ts';
import { problemWithoutAd } from './refused-line.ts';
import { factsIn } from './validity/facts.ts';

/**
 * Returns the click, or why the line is none. `appendedAt` (epoch ms) replaces a missing time of receipt, and `makeId`
 * makes the identity of a line without one.
 */
export function clickOfJson(line: Uint8Array, appendedAt: number, makeId: () => string): Click | string {
  let json: unknown;
  try {
    json = JSON.parse(decoder.decode(line));
  } catch {
    return 'not a line of UTF-8 JSON';
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return 'not a JSON object';
  const fields = json as Record<string, unknown>;
  const given = (name: string) => fields[name] ?? undefined;
  const adId = given('ad_id');
  const clickedAt = parseTime(given('clicked_at'));
  const receivedAt = given('received_at') === undefined ? appendedAt : parseTime(given('received_at'));
  const clickId = given('click_id') ?? given('event_id') ?? makeId();
  const eventId = given('event_id') ?? clickId;
  const country = given('country') ?? unknownCountry;
  const userId = given('user_id');
  const ip = given('ip');
  if (typeof adId !== 'string' || !adIdPattern.test(adId)) return problemWithoutAd(fields);
  if (clickedAt === undefined) return 'clicked_at: must be RFC 3339 or epoch ms';
  if (receivedAt === undefined) return 'received_at: must be RFC 3339 or epoch ms';
  if (!isText(clickId, limits.eventIdLength)) return 'click_id: must be text of 1 to 128 characters';
  if (!isText(eventId, limits.eventIdLength)) return 'event_id: must be text of 1 to 128 characters';
  if (typeof country !== 'string' || !countryPattern.test(country)) return 'country: must be two capital letters';
  if (userId !== undefined && !isText(userId, limits.userIdLength))
    return 'user_id: must be text of 1 to 128 characters';
  if (ip !== undefined && !isText(ip, limits.ipLength)) return 'ip: must be text of 1 to 45 characters';
  const facts = factsIn(textIn(given('facts'), limits.factsLength) ?? '');
  return {
    ...{ clickId, eventId, adId, clickedAt, receivedAt, country, userId, ip },
    facts: facts === 0 ? undefined : facts,
    userAgent: textIn(given('user_agent'), limits.userAgentLength),
    referrer: textIn(given('referrer'), limits.referrerLength),
    purpose: textIn(given('purpose'), limits.purposeLength),
  };
}

/**
 * Returns undefined for a value that breaks the rule. The click counts without it, because other producers may have had
 * a field of this name before clicks had it.
 */
function textIn(value: unknown, maxLength: number): string | undefined {
  return isText(value, maxLength) ? value : undefined;
}

const decoder = new TextDecoder('utf-8', { fatal: true });
