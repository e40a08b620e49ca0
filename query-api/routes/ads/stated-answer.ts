/**
 * How an answer that states counts comes about, in an order that keeps its state true.
 *
 * First what has to be known before counts are read (`finality.ts`, `stated-rows.ts`): progress, late clicks that wait, and
 * which recounts of the range are visible. These are read at the same time, so the answer waits for one of them instead of
 * for three. Then the counts, as they are stated, and whether they were restated. At last what the answer says of them, and
 * how long it may be kept.
 */
import type { FastifyReply } from 'fastify';
import type { AskedRange } from '../../http/asked-range.ts';
import { isoOf, isoOrNull, setCaching } from '../../http/parameters.ts';
import type { Queries } from '../../store/ad-counts.ts';
import { type Finality, finalityOf, type State, stateAt } from '../../store/finality.ts';
import type { LateClicks } from '../../store/late-clicks.ts';
import type { Stated, StatedReading } from '../../store/sql/stated-rows.ts';
import type { TimeRange } from '../../time/time-range.ts';

export interface ReadBefore {
  readonly queries: Pick<Queries, 'progress'>;
  readonly lateClicks: () => Promise<LateClicks>;
  readonly stated: StatedReading;
}

export interface StatedQuestion {
  readonly range: TimeRange;
  /** All that is read, where that is more than the range. */
  readonly whole?: TimeRange;
  /** Whose late clicks are told; empty: of all ads. */
  readonly adIds: readonly string[];
  /** Left out: the answer is not to be kept. */
  readonly asked?: AskedRange & { readonly filter?: string };
}

/** To read counts with: it was all read before them. */
export interface KnownBefore {
  readonly known: Stated;
  readonly finality: Finality;
  readonly late: LateClicks;
}

export interface Found {
  /** How final what was read can be; left out: as final as counts by minute are. */
  readonly finality?: Finality;
  readonly isRestated: boolean;
}

export interface AnswerHead {
  readonly from: string;
  readonly to: string;
  readonly state: State;
  readonly pending_late: number;
  readonly watermark: string | null;
}

/**
 * `read` runs again where a recount became visible meanwhile, so it changes nothing.
 *
 * @throws Retryable
 */
export async function answerStated<T extends Found>(
  deps: ReadBefore,
  reply: FastifyReply,
  { range, whole = range, adIds, asked = {} }: StatedQuestion,
  read: (before: KnownBefore) => Promise<T>,
): Promise<T & Omit<KnownBefore, 'known'> & { readonly head: AnswerHead }> {
  const { queries, lateClicks, stated } = deps;
  const [progress, late, recounts] = await Promise.all([queries.progress(), lateClicks(), stated.recounts(whole)]);
  const told = finalityOf(progress);
  const pendingLate = late.of(adIds)(range);
  const found = await stated.at(whole, known => read({ known, finality: told, late }), recounts);
  const finality = found.finality ?? told;
  const state = stateAt(finality, range.to, found.isRestated);
  setCaching(reply, { state, pendingLate }, asked);
  const head = {
    from: isoOf(range.from),
    to: isoOf(range.to),
    state,
    pending_late: pendingLate,
    watermark: isoOrNull(finality.watermark),
  };
  return { ...found, finality: told, late, head };
}
