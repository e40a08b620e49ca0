/**
 * Puts what browsers sent and what was refused into the log, as lines that are no clicks. So the aggregator quarantines
 * them, with the reason, and what is received stays what is counted, duplicate or quarantined: nothing but the log says
 * what was received. refused-line.ts defines the line. It has the values as they were given, shortened.
 *
 * Anybody can cause such a line, so they are limited, per client and in total. Beyond the limits, and while Kafka takes
 * none, a refusal is counted in the metric alone. Such lines are spread by their reason: whoever makes up requests must
 * not get the ad that he names into the count of hot ads.
 */
import { Retryable } from '../infra/errors.ts';
import type { Logger } from '../infra/log.ts';
import type { counter } from '../infra/metrics.ts';
import { ClickLines } from './click-lines.ts';
import type { ClickLog } from './click-log.ts';
import { type RefusedKind, refusedBegin } from './refused-line.ts';

export interface Refusal<Reason extends string> {
  readonly reason: Reason;
  /** Those that are texts are recorded. */
  readonly values: Readonly<Record<string, unknown>>;
  /** The client's. */
  readonly network: string;
  /** Epoch ms. */
  readonly at: number;
}

export interface RefusedRecords<Reason extends string> {
  add(refusal: Refusal<Reason>): void;
}

export interface RefusedRecordsDeps {
  readonly kind: RefusedKind;
  readonly clickLog: Pick<ClickLog, 'append'>;
  readonly log: Logger;
  /** By `reason` and `outcome`: quarantined, limited, unavailable. */
  readonly refusals: ReturnType<typeof counter>;
}

/** In a minute, of one kind. */
export const maxRecords = { perClient: 60, inTotal: 600 } as const;
const minuteMs = 60_000;

export function createRefusedRecords<Reason extends string>({
  kind,
  clickLog,
  log,
  refusals,
}: RefusedRecordsDeps): RefusedRecords<Reason> {
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
    add(refusal) {
      const { reason, network, at } = refusal;
      if (!isWithinLimits(network, at)) {
        refusals.inc({ reason, outcome: 'limited' });
        return;
      }
      lines.clear();
      addLine(lines, kind, refusal);
      clickLog.append(lines, undefined, network).then(
        () => refusals.inc({ reason, outcome: 'quarantined' }),
        error => {
          refusals.inc({ reason, outcome: 'unavailable' });
          if (!(error instanceof Retryable)) log.error({ err: error, kind }, 'a refusal was not recorded');
        },
      );
    },
  };
}

/** The reason stands where ingest looks for ad and event id. */
function addLine(lines: ClickLines, kind: RefusedKind, { reason, values, at }: Refusal<string>): void {
  const given = Object.fromEntries(Object.entries(values).flatMap(([name, value]) => shortened(name, value)));
  const begin = refusedBegin(kind);
  const rest = JSON.stringify(given).slice(1);
  const line = `${begin}${reason}"${rest === '}' ? '' : ','}${rest},"received_at":${at}}\n`;
  lines.reserve(3 * line.length);
  const end = lines.end + lines.bytes.write(line, lines.end);
  const [from, to] = [begin.length, begin.length + reason.length];
  lines.close(end, from, to, from - 1, to + 1, at);
}

const longestValue = 512;

function shortened(name: string, value: unknown): [string, string][] {
  return typeof value === 'string' ? [[name, value.slice(0, longestValue).toWellFormed()]] : [];
}
