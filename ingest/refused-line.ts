/**
 * Defines the lines of topic `clicks` that say that something was refused which a browser has sent: a click link (links/),
 * or a click of a page (browser/). They are no clicks, so they are quarantined. What makes them no clicks is that they
 * have no `ad_id`; releases that do not know them do the same with them.
 *
 *     {"refused_link":{"reason":"expired","detail":"…","ad_id":"ad-42","e":"…","t":"…","x":"…","d":"…","k":"…"},"received_at":1763800000456}
 *     {"refused_browser":{"reason":"wrong_origin","detail":"…","via":"beacon","key":"…","ad_id":"ad-42","e":"…"},"received_at":1763800000456}
 */

export type RefusedKind = 'refused_link' | 'refused_browser';

/** How such a line begins. The reason comes next. */
export function refusedBegin(kind: RefusedKind): string {
  return `{"${kind}":{"reason":"`;
}

const names = { refused_link: 'refused click link', refused_browser: 'refused browser click' } as const;

/** Says what is wrong with a line whose `ad_id` is missing or breaks its rule. */
export function problemWithoutAd(fields: Readonly<Record<string, unknown>>): string {
  for (const [kind, name] of Object.entries(names)) {
    const refused = fields[kind];
    const reason = typeof refused === 'object' && refused !== null && 'reason' in refused ? refused.reason : undefined;
    if (typeof reason === 'string') return `${name}: ${reason.slice(0, 40)}`;
  }
  return 'ad_id: must be 1 to 128 of A-Za-z0-9._:-';
}
