/**
 * Defines the line of topic `clicks` that says that a click link was refused (links/). It is no click, so it is
 * quarantined. What makes it no click is that it has no `ad_id`; releases that do not know it do the same with it.
 *
 *     {"refused_link":{"reason":"expired","detail":"…","ad_id":"ad-42","e":"…","t":"…","x":"…","d":"…","k":"…"},"received_at":1763800000456}
 */

/** How such a line begins. The reason comes next. */
export const refusedLinkBegin = '{"refused_link":{"reason":"';

/** Says what is wrong with a line whose `ad_id` is missing or breaks its rule. */
export function problemWithoutAd({ refused_link: refused }: Readonly<Record<string, unknown>>): string {
  const reason = typeof refused === 'object' && refused !== null && 'reason' in refused ? refused.reason : undefined;
  if (typeof reason === 'string') return `refused click link: ${reason.slice(0, 40)}`;
  return 'ad_id: must be 1 to 128 of A-Za-z0-9._:-';
}
