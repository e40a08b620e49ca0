/**
 * Makes an answer with counts, in an order that keeps its state true:
 *
 * 1. It reads what must be known before counts are read (`finality.ts`, `stated-rows.ts`): progress, what waits for a
 *    restatement, and the visible recounts of the range. These reads run at the same time, so the answer waits only for
 *    the slowest. (Clicks of split ads are looked for after progress, and only where ads are split.)
 * 2. It reads the counts, and whether they were restated.
 * 3. It derives the state, and how long the answer may be cached.
 */
import type { FastifyReply } from 'fastify';
import type { AskedRange } from '../../http/asked-range.ts';
import { isoOf, isoOrNull, setCaching } from '../../http/parameters.ts';
import { type Finality, finalityOf, type State, stateAt } from '../../store/finality.ts';
import { type Pending, type PendingDeps, type PendingFields, pendingOf, readPending } from '../../store/pending.ts';
import type { Stated, StatedReading } from '../../store/sql/stated-rows.ts';
import type { TimeRange } from '../../time/time-range.ts';

export interface ReadBefore extends PendingDeps {
  readonly stated: StatedReading;
}

export interface StatedQuestion {
  readonly range: TimeRange;
  /** Everything that is read, if that is more than the range. */
  readonly whole?: TimeRange;
  /** The ads whose waiting clicks the answer states. Empty: all ads. */
  readonly adIds: readonly string[];
  /** The parameters that decide whether the answer may be cached. Left out: it may not. */
  readonly asked?: AskedRange & { readonly filter?: string };
}

/** What was read before the counts, and is needed to read them. */
export interface KnownBefore {
  readonly known: Stated;
  readonly finality: Finality;
  readonly pending: Pending;
}

export interface Found {
  /** How final the result can be. Left out: as final as the counts by minute. */
  readonly finality?: Finality;
  readonly isRestated: boolean;
}

export interface AnswerHead extends PendingFields {
  readonly from: string;
  readonly to: string;
  readonly state: State;
  readonly watermark: string | null;
}

/**
 * `read` must not change anything, because it runs again when a recount has become visible in the meantime.
 *
 * @throws Retryable when the store does not answer
 */
export async function answerStated<T extends Found>(
  deps: ReadBefore,
  reply: FastifyReply,
  { range, whole = range, adIds, asked = {} }: StatedQuestion,
  read: (before: KnownBefore) => Promise<T>,
): Promise<T & Omit<KnownBefore, 'known'> & { readonly head: AnswerHead }> {
  const { stated } = deps;
  const [{ progress, pending }, recounts] = await Promise.all([readPending(deps), stated.recounts(whole)]);
  const counted = finalityOf(progress);
  const waiting = pendingOf(pending, adIds)(range);
  const found = await stated.at(whole, known => read({ known, finality: counted, pending }), recounts);
  const finality = found.finality ?? counted;
  const state = stateAt(finality, range.to, found.isRestated);
  setCaching(reply, { state, ...waiting }, asked);
  const head = {
    from: isoOf(range.from),
    to: isoOf(range.to),
    state,
    ...waiting,
    watermark: isoOrNull(finality.watermark),
  };
  return { ...found, finality: counted, pending, head };
}
