/** One-line builders of clicks and of records of topic `clicks`. */
import { type Click, formatLine } from '../../ingest/click.ts';
import type { ClickLines } from '../../ingest/click-lines.ts';
import { factsIn } from '../../ingest/validity/facts.ts';

/** An arbitrary minute, epoch ms. */
export const minute0 = 1_763_800_020_000 - (1_763_800_020_000 % 60_000);

let serial = 0;

export function click(given: Partial<Click> = {}): Click {
  const id = `e${++serial}`;
  const clickedAt = given.clickedAt ?? minute0;
  return {
    clickId: `01K${String(serial).padStart(23, '0')}`,
    eventId: id,
    adId: 'ad_1',
    clickedAt,
    receivedAt: clickedAt + 20,
    country: 'KR',
    ...given,
  };
}

export function ndjson(...clicks: readonly Click[]): Uint8Array {
  return Buffer.from(clicks.map(formatLine).join('\n'));
}

/** Read back from the lines. */
export function clicksOf(lines: ClickLines): Click[] {
  const text = lines.bytes.toString('utf8', 0, lines.end);
  return text.split('\n', lines.count).map(line => {
    const { click_id, event_id, ad_id, clicked_at, received_at, country, user_id, ip, ...more } = JSON.parse(line);
    const { facts, user_agent, referrer, purpose } = more;
    const click: Click = {
      clickId: click_id,
      eventId: event_id,
      adId: ad_id,
      clickedAt: clicked_at,
      receivedAt: received_at,
      country,
      ...(user_id === undefined ? {} : { userId: user_id }),
      ...(ip === undefined ? {} : { ip }),
      ...(facts === undefined ? {} : { facts: factsIn(facts) }),
      ...(user_agent === undefined ? {} : { userAgent: user_agent }),
      ...(referrer === undefined ? {} : { referrer }),
      ...(purpose === undefined ? {} : { purpose }),
    };
    return click;
  });
}
