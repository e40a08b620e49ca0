/** Writes a click as it is kept in the spool, which is its canonical line, and reads it back. */
import { adIdPattern, type Click, countryPattern, formatLine, isText, limits } from '../click.ts';
import { factsIn } from '../validity/facts.ts';

export const spooledText = formatLine;

/** Returns undefined if the text is not one that `spooledText` has written, which a checksum cannot tell. */
export function readSpooledClick(text: string): Click | undefined {
  const fields = fieldsOf(text);
  if (fields === undefined) return undefined;
  const { click_id: clickId, event_id: eventId, ad_id: adId, country } = fields;
  const {
    clicked_at: clickedAt,
    received_at: receivedAt,
    user_id: userId,
    ip,
    facts,
    user_agent: userAgent,
    referrer,
    purpose,
  } = fields;
  const isWhole =
    isText(clickId, limits.eventIdLength) &&
    isText(eventId, limits.eventIdLength) &&
    typeof adId === 'string' &&
    adIdPattern.test(adId) &&
    typeof country === 'string' &&
    countryPattern.test(country) &&
    Number.isSafeInteger(clickedAt) &&
    Number.isSafeInteger(receivedAt);
  if (!isWhole) return undefined;
  return {
    ...{ clickId, eventId, adId, country },
    clickedAt: clickedAt as number,
    receivedAt: receivedAt as number,
    ...(typeof userId === 'string' && { userId }),
    ...(typeof ip === 'string' && { ip }),
    ...(typeof facts === 'string' && factsIn(facts) !== 0 && { facts: factsIn(facts) }),
    ...(typeof userAgent === 'string' && { userAgent }),
    ...(typeof referrer === 'string' && { referrer }),
    ...(typeof purpose === 'string' && { purpose }),
  };
}

function fieldsOf(text: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
