/** Puts refused click links into the log (refused-records.ts), with what they say, but without their signature. */
import type { Logger } from '../../infra/log.ts';
import { counter } from '../../infra/metrics.ts';
import type { ClickLog } from '../click-log.ts';
import { createRefusedRecords } from '../refused-records.ts';
import { type LinkQuery, type LinkRefusal, linkRefusals } from './link-check.ts';

export interface RefusedLink {
  readonly reason: LinkRefusal;
  readonly detail: string;
  readonly adId: string;
  readonly query: LinkQuery;
  /** The client's. */
  readonly network: string;
  /** Epoch ms. */
  readonly at: number;
}

export interface RefusedLinks {
  add(link: RefusedLink): void;
}

export function createRefusedLinks(clickLog: Pick<ClickLog, 'append'>, log: Logger): RefusedLinks {
  const records = createRefusedRecords<LinkRefusal>({ kind: 'refused_link', clickLog, log, refusals });
  return {
    add({ reason, detail, adId, query, network, at }) {
      const { e, t, x, d, k } = query;
      records.add({ reason, values: { detail, ad_id: adId, e, t, x, d, k }, network, at });
    },
  };
}

const refusals = counter(
  'link_refusals_total',
  'Click links that were refused, by reason. Outcome: quarantined, or not recorded because of the limits or because Kafka was away',
  ['reason', 'outcome'],
);
for (const reason of linkRefusals) refusals.inc({ reason, outcome: 'quarantined' }, 0);
