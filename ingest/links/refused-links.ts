/**
 * Puts refused click links into the log, as lines that are no clicks. So the aggregator quarantines them, with the reason,
 * and what is received stays what is counted, duplicate or quarantined: nothing but the log says what was received.
 *
 * refused-link-line.ts defines the line. It has the values as they were given, shortened, but no signature.
 *
 * Anybody can cause such a line, so they are limited, per client and in total. Beyond the limits, and while Kafka takes
 * none, a refusal is counted in the metric alone. Such lines are spread by their reason: whoever makes up links must not
 * get the ad that he names into the count of hot ads.
 */
import { Retryable } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import { counter } from '../../infra/metrics.ts';
import { ClickLines } from '../click-lines.ts';
import type { ClickLog } from '../click-log.ts';
import { refusedLinkBegin } from '../refused-link-line.ts';
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

/** In a minute. */
export const maxRecords = { perClient: 60, inTotal: 600 } as const;
const minuteMs = 60_000;

export function createRefusedLinks(clickLog: Pick<ClickLog, 'append'>, log: Logger): RefusedLinks {
  const lines = new ClickLines();
  let minute = 0;
  let total = 0;
  // Has an entry only for what was recorded, so it is as bounded as that.
  let perClient = new Map<string, number>();
  const isWithinLimits = (network: string, at: number) => {
    const now = Math.floor(at / minuteMs);
    if (now !== minute) [minute, total, perClient] = [now, 0, new Map()];
    const ofClient = perClient.get(network) ?? 0;
    if (total >= maxRecords.inTotal || ofClient >= maxRecords.perClient) return false;
    total++;
    perClient.set(network, ofClient + 1);
    return true;
  };
  return {
    add(link) {
      const { reason, network, at } = link;
      if (!isWithinLimits(network, at)) {
        refusals.inc({ reason, outcome: 'limited' });
        return;
      }
      lines.clear();
      addLine(lines, link);
      clickLog.append(lines, undefined, network).then(
        () => refusals.inc({ reason, outcome: 'quarantined' }),
        error => {
          refusals.inc({ reason, outcome: 'unavailable' });
          if (!(error instanceof Retryable)) log.error({ err: error }, 'links: a refusal was not recorded');
        },
      );
    },
  };
}

/** The reason stands where ingest looks for ad and event id. */
function addLine(lines: ClickLines, { reason, detail, adId, query, at }: RefusedLink): void {
  const { e, t, x, d, k } = query;
  const given = { detail, ad_id: adId, e, t, x, d, k };
  const values = Object.fromEntries(Object.entries(given).flatMap(([name, value]) => shortened(name, value)));
  const line = `${refusedLinkBegin}${reason}",${JSON.stringify(values).slice(1)},"received_at":${at}}\n`;
  lines.reserve(3 * line.length);
  const end = lines.end + lines.bytes.write(line, lines.end);
  const [from, to] = [refusedLinkBegin.length, refusedLinkBegin.length + reason.length];
  lines.close(end, from, to, from - 1, to + 1, at);
}

const longestValue = 512;

function shortened(name: string, value: unknown): [string, string][] {
  return typeof value === 'string' ? [[name, value.slice(0, longestValue).toWellFormed()]] : [];
}

const refusals = counter(
  'link_refusals_total',
  'Click links that were refused, by reason. Outcome: quarantined, or not recorded because of the limits or because Kafka was away',
  ['reason', 'outcome'],
);
for (const reason of linkRefusals) refusals.inc({ reason, outcome: 'quarantined' }, 0);
