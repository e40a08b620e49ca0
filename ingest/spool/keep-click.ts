/**
 * Gets a click that a browser has sent into the log, or else into the spool, before its answer: the click of a link, a
 * beacon or a pixel. Unlike who posts clicks, a browser keeps nothing to send again.
 *
 * Kafka has a short time to acknowledge it. Then the click goes into the spool, and so do all that come after it, at once,
 * until Kafka has taken clicks out of the spool: whoever waits for a redirect must not be who finds out whether our
 * brokers are back. A click that was given to both is two copies of one click. When the spool takes none, either, Kafka
 * has all the time that a posted click has.
 */
import { Retryable } from '../../infra/errors.ts';
import type { TraceContext } from '../../infra/trace-context.ts';
import type { Click } from '../click.ts';
import { ClickLines } from '../click-lines.ts';
import type { ClickLog } from '../click-log.ts';
import { type KeptFields, keptClick } from '../kept-click.ts';
import type { Spool } from './spool.ts';

export interface ClickOrigin {
  readonly trace: TraceContext | undefined;
  readonly network: string;
}

/** Resolves to where it is when the click is safe. @throws Retryable when neither has it */
export type KeepClick = (click: Click, origin: ClickOrigin) => Promise<'logged' | 'spooled'>;

/** What becomes of a click, for metrics of those who keep clicks. */
export const keepOutcomes = ['logged', 'spooled', 'unavailable'] as const;

export type ClickSpool = Pick<Spool, 'append' | 'refusal' | 'sentAtMs'>;

export interface KeptBy {
  readonly clickLog: Pick<ClickLog, 'append'>;
  readonly spool?: ClickSpool | undefined;
  readonly kept?: KeptFields;
}

interface Patience {
  /** How long Kafka has while there is a spool. */
  readonly patienceMs?: number;
}

export function createKeepClick({ clickLog, spool, kept = {}, patienceMs = 100 }: KeptBy & Patience): KeepClick {
  const lines = new ClickLines();
  /** Since then Kafka is away, as far as is known here. */
  let awaySinceMs = Number.NEGATIVE_INFINITY;
  const intoLog = (click: Click, { trace, network }: ClickOrigin) => {
    lines.clear();
    lines.add(click);
    return clickLog.append(lines, trace, network);
  };
  return async (sent, origin) => {
    const click = keptClick(sent, kept, 'browser');
    if (spool === undefined || spool.refusal() !== undefined) {
      await intoLog(click, origin);
      return 'logged';
    }
    if (spool.sentAtMs >= awaySinceMs) {
      if (await isAcknowledged(intoLog(click, origin), patienceMs)) return 'logged';
      awaySinceMs = performance.now();
    }
    await spool.append(click);
    return 'spooled';
  };
}

/** Returns false when it takes too long, or is refused. @throws what is no refusal */
async function isAcknowledged(append: Promise<void>, patienceMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>(resolve => {
    timer = setTimeout(resolve, patienceMs, false);
  });
  const acknowledged = append.then(
    () => true,
    (error: unknown) => {
      if (error instanceof Retryable) return false;
      throw error;
    },
  );
  // Later it may still be refused, when nobody waits any more.
  acknowledged.catch(() => undefined);
  const isInTime = await Promise.race([acknowledged, late]);
  clearTimeout(timer);
  return isInTime;
}
