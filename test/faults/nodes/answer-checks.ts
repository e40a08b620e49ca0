/**
 * Whether an answer may be true: never above what was posted, never below its own watermark, never a final number taken back.
 *
 * A restatement is in one replica a moment before it is in the other, and a replica may be read that is behind by what
 * REPLICA_MAX_LAG_MS allows. So a final number that was restated may be told as before for so long: that is measured, and a
 * violation beyond. (A number that is final and lacks a click that was in time is one at once: it is below its watermark.)
 */
import type { Lateness, Truth } from './truth.ts';

/** One number of an answer. */
export interface ShownCount {
  readonly ad: string;
  /** Epoch ms, whole minutes, half-open. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
  readonly state: 'provisional' | 'final' | 'restated';
}

export interface Answer {
  /** Which kind of request, for messages. */
  readonly what: string;
  readonly sentAt: number;
  readonly receivedAt: number;
  /** Epoch ms; null: it stands on none. */
  readonly watermark: number | null;
  readonly counts: readonly ShownCount[];
  /** Of this range all ads are in `counts`: who is not has 0. */
  readonly isWhole?: { readonly from: number; readonly to: number; readonly state: ShownCount['state'] };
}

export interface AnswerChecks {
  check(answer: Answer): readonly string[];
  /** Numbers that were held against both bounds. */
  readonly checked: number;
  /** Lower bounds above 0 among them: those that could have shown a loss. */
  readonly bounded: number;
  /** Final numbers that were told as they were before a restatement that had been told: how often, and how long after, at most. */
  readonly outdated: { readonly times: number; readonly longestMs: number };
}

export function createAnswerChecks(truth: Truth, lateness: Lateness, maxLagMs: number): AnswerChecks {
  /** By range and ad: the largest number that was told as final, and when it was first. */
  const finals = new Map<string, { readonly count: number; readonly toldAt: number }>();
  let [checked, bounded, times, longestMs] = [0, 0, 0, 0];

  const checkOne = ({ ad, from, to, count, state }: ShownCount, { what, sentAt, receivedAt, watermark }: Answer) => {
    checked++;
    const shown = `${what}: ${ad} in ${new Date(from).toISOString()}/${(to - from) / 60_000} min showed ${count} (${state})`;
    const found: string[] = [];
    const most = truth.posted(ad, from, to);
    if (count > most) found.push(`above the truth: ${shown}, of ${most} posted`);
    const isFinal = state !== 'provisional';
    const by = isFinal ? Number.POSITIVE_INFINITY : (watermark ?? -1) + lateness.outOfOrdernessMs;
    const least = truth.acked(ad, from, to, by);
    if (least > 0) bounded++;
    if (count < least) found.push(`below its own watermark: ${shown}, of ${least} accepted before that`);
    if (!isFinal) return found;
    const key = `${from}|${to}|${ad}`;
    const before = finals.get(key);
    if (before !== undefined && before.count > count && before.toldAt < sentAt) {
      const agoMs = sentAt - before.toldAt;
      times++;
      longestMs = Math.max(longestMs, agoMs);
      if (agoMs > maxLagMs) found.push(`a final number taken back: ${shown}, after ${before.count} ${agoMs} ms before`);
    }
    if (before === undefined || before.count < count) finals.set(key, { count, toldAt: receivedAt });
    return found;
  };

  return {
    check(answer) {
      const { counts, isWhole } = answer;
      const told = new Set(counts.map(({ ad }) => ad));
      const left = isWhole === undefined ? [] : truth.ads(isWhole.from, isWhole.to).filter(ad => !told.has(ad));
      const zeroes = isWhole === undefined ? [] : left.map(ad => ({ ...isWhole, ad, count: 0 }));
      return [...counts, ...zeroes].flatMap(count => checkOne(count, answer));
    },
    get checked() {
      return checked;
    },
    get bounded() {
      return bounded;
    },
    get outdated() {
      return { times, longestMs };
    },
  };
}
