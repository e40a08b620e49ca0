/**
 * Puts refused clicks of pages into the log (refused-records.ts), if they came with a right key: whoever has none writes
 * nothing. Of the page there is its origin, and not its address.
 */
import type { Logger } from '../../infra/log.ts';
import { counter } from '../../infra/metrics.ts';
import type { RejectCode } from '../click-body.ts';
import type { ClickLog } from '../click-log.ts';
import { createRefusedRecords } from '../refused-records.ts';
import type { PageRefusal } from './page-origin.ts';

export type Via = 'beacon' | 'pixel';
export type BrowserRefusal = PageRefusal['reason'] | RejectCode;

export interface RefusedBrowserClick {
  readonly reason: BrowserRefusal;
  readonly detail: string;
  readonly via: Via;
  readonly keyId: string | undefined;
  readonly page?: string | undefined;
  readonly adId?: unknown;
  readonly eventId?: unknown;
  /** The client's. */
  readonly network: string;
  /** Epoch ms. */
  readonly at: number;
}

export interface RefusedBrowserClicks {
  add(click: RefusedBrowserClick): void;
}

export function createRefusedBrowserClicks(clickLog: Pick<ClickLog, 'append'>, log: Logger): RefusedBrowserClicks {
  const records = createRefusedRecords<BrowserRefusal>({ kind: 'refused_browser', clickLog, log, refusals });
  return {
    add({ reason, detail, via, keyId, page, adId, eventId, network, at }) {
      records.add({ reason, values: { detail, via, key: keyId, page, ad_id: adId, e: eventId }, network, at });
    },
  };
}

const refusals = counter(
  'browser_refusals_total',
  'Clicks of beacons and pixels with a right key that were refused, by reason. Outcome: quarantined, or not recorded because of the limits or because Kafka was away',
  ['reason', 'outcome'],
);
for (const reason of ['no_origin', 'wrong_origin', 'forbidden_ad', 'missing_field', 'invalid_field', 'too_old'])
  refusals.inc({ reason, outcome: 'quarantined' }, 0);
