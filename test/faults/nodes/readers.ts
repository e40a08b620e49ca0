/**
 * Readers that ask every query API all the while, in all the ways that numbers are told, and check each answer as it comes.
 * An answer that is none (5xx, a broken connection, none within a generous time) is a violation unless the weather allows it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, type AnswerChecks, createAnswerChecks, type ShownCount } from './answer-checks.ts';
import type { Lateness, Truth } from './truth.ts';
import type { Weather } from './weather.ts';

export interface PhaseFigures {
  answers: number;
  /** Refused with 503 and Retry-After while that was allowed. */
  refused: number;
  /** How old the moment was, at most, up to which everything was in an answer, ms. */
  stalestMs: number;
  slowestMs: number;
}

export interface ReadReport {
  readonly phases: ReadonlyMap<string, PhaseFigures>;
  readonly checked: number;
  readonly bounded: number;
  readonly outdated: AnswerChecks['outdated'];
  /** By how much the watermark of an answer was before one that the same query API had told earlier, at most, ms. */
  readonly fellBackMs: number;
  readonly latencies: readonly number[];
  /** Reads that were to be answered and were not. */
  readonly unanswered: number;
  readonly violations: readonly string[];
}

export interface Readers {
  stop(): Promise<ReadReport>;
}

export interface ReadersOptions {
  readonly urls: readonly string[];
  readonly truth: Truth;
  readonly lateness: Lateness;
  /** REPLICA_MAX_LAG_MS of the query APIs. */
  readonly maxLagMs: number;
  readonly weather: Weather;
  /** Minutes of long ago that get late clicks, epoch ms. */
  readonly lateMinutes: readonly number[];
  readonly pauseMs: number;
  /** Told of the first violations as they are found. */
  readonly say: (line: string) => void;
}

interface Question {
  readonly what: string;
  readonly path: string;
  /** It needs every shard. */
  readonly isOfAll: boolean;
  answer(body: Body): Pick<Answer, 'counts' | 'isWhole'>;
}

interface Body {
  readonly watermark: string | null;
  readonly state: ShownCount['state'];
  readonly count: number;
  readonly ads: readonly { readonly ad_id: string; readonly count: number }[];
  readonly points: readonly { readonly start: string; readonly count: number; readonly state: ShownCount['state'] }[];
}

const minuteMs = 60_000;
/** Longer than a query API takes to refuse. */
const patienceMs = 40_000;
const mostViolations = 200;
const mostSaid = 5;

export function startReaders(options: ReadersOptions): Readers {
  const { urls, truth, lateness, maxLagMs, weather, lateMinutes, pauseMs, say } = options;
  const checks = createAnswerChecks(truth, lateness, maxLagMs);
  const phases = new Map<string, PhaseFigures>();
  const violations: string[] = [];
  const latencies: number[] = [];
  const newest = new Map<string, number>();
  const lateAds = () => truth.ads(lateMinutes[0] ?? 0, (lateMinutes[0] ?? 0) + minuteMs);
  const startedAt = Date.now();
  let [fellBackMs, unanswered] = [0, 0];
  let isStopping = false;

  const figures = () => {
    const of = phases.get(weather.phase) ?? { answers: 0, refused: 0, stalestMs: 0, slowestMs: 0 };
    phases.set(weather.phase, of);
    return of;
  };
  const broken = (text: string) => {
    if (violations.length < mostSaid) say(`BROKEN [${weather.phase}] ${text}`);
    if (violations.length < mostViolations) violations.push(`[${weather.phase}] ${text}`);
  };

  const unansweredBy = (text: string) => {
    unanswered++;
    broken(`no answer: ${text}`);
  };

  const refused = (question: Question, response: Response, text: string, sentAt: number) => {
    const { what } = question;
    if (response.status !== 503 || !weather.mightHaveBeenRefused(sentAt))
      return unansweredBy(`${what} got ${response.status} ${text.slice(0, 200)}`);
    if (response.headers.get('retry-after') === null) broken(`503 without Retry-After: ${what}`);
    figures().refused++;
  };

  const ask = async (url: string, question: Question) => {
    const sentAt = Date.now();
    const response = await fetch(`${url}${question.path}`, { signal: AbortSignal.timeout(patienceMs) });
    const text = await response.text();
    const receivedAt = Date.now();
    if (!response.ok) return refused(question, response, text, sentAt);
    if (question.isOfAll && weather.mustHaveBeenRefused(sentAt))
      broken(`told without a shard: ${question.what} was answered though one had no node`);
    const body = JSON.parse(text) as Body;
    const watermark = body.watermark === null ? null : Date.parse(body.watermark);
    const { what } = question;
    for (const text of checks.check({ ...question.answer(body), what, sentAt, receivedAt, watermark })) broken(text);
    const of = figures();
    of.answers++;
    of.slowestMs = Math.max(of.slowestMs, receivedAt - sentAt);
    latencies.push(receivedAt - sentAt);
    if (watermark === null) return;
    of.stalestMs = Math.max(of.stalestMs, receivedAt - watermark - lateness.outOfOrdernessMs);
    const before = newest.get(url) ?? 0;
    fellBackMs = Math.max(fellBackMs, before - watermark);
    newest.set(url, Math.max(before, watermark));
  };

  const read = async (url: string, question: () => Question) => {
    while (!isStopping) {
      const asked = question();
      const sentAt = Date.now();
      // No connection, or no end of an answer: no client was to see that.
      await ask(url, asked).catch(error => {
        if (!isStopping) unansweredBy(`${asked.what} after ${Date.now() - sentAt} ms: ${error}`);
      });
      await sleep(pauseMs);
    }
  };

  const running = urls.flatMap(url => [
    read(
      url,
      inTurn(() => topOf(recentMinute())),
    ),
    read(
      url,
      inTurn(
        () => countOf(anyOf(truth.ads(...lastMinutes())), ...lastMinutes()),
        () => seriesOf(anyOf(truth.ads(...lastMinutes())), ...lastMinutes()),
        () => topOf(anyOf(lateMinutes)),
        () => countOf(anyOf(truth.ads(...lastMinutes())), startedAt - (startedAt % minuteMs), lastMinutes()[1]),
        () => countOf(anyOf(lateAds()), lateMinutes[0] ?? 0, (lateMinutes.at(-1) ?? 0) + minuteMs),
        () => rawOf(anyOf(truth.ads(...lastMinutes())), ...lastMinutes()),
      ),
    ),
  ]);
  return {
    async stop() {
      isStopping = true;
      await Promise.all(running);
      const { checked, bounded, outdated } = checks;
      return { phases, checked, bounded, outdated, fellBackMs, latencies, unanswered, violations };
    },
  };
}

function topOf(minute: number): Question {
  const [from, to] = [minute, minute + minuteMs];
  return {
    what: 'popular_ads',
    path: `/v1/ads/popular_ads?count=1000&from=${from}&to=${to}`,
    isOfAll: true,
    answer: ({ ads, state }) => ({
      counts: ads.map(({ ad_id: ad, count }) => ({ ad, from, to, count, state })),
      isWhole: { from, to, state },
    }),
  };
}

function countOf(ad: string, from: number, to: number): Question {
  return {
    what: 'aggregated_count',
    path: `/v1/ads/${ad}/aggregated_count?from=${from}&to=${to}`,
    isOfAll: false,
    answer: ({ count, state }) => ({ counts: [{ ad, from, to, count, state }] }),
  };
}

/** From raw clicks, which another group of the sink brings. */
function rawOf(ad: string, from: number, to: number): Question {
  const { path, ...question } = countOf(ad, from, to);
  return { ...question, what: 'uniques', path: `${path}&uniques=true` };
}

function seriesOf(ad: string, from: number, to: number): Question {
  return {
    what: 'series',
    path: `/v1/ads/${ad}/series?granularity=minute&from=${from}&to=${to}`,
    isOfAll: false,
    answer: ({ points }) => ({
      counts: points.map(({ start, count, state }) => {
        return { ad, from: Date.parse(start), to: Date.parse(start) + minuteMs, count, state };
      }),
    }),
  };
}

function lastMinutes(): [from: number, to: number] {
  const now = Date.now();
  const minute = now - (now % minuteMs);
  return [minute - 4 * minuteMs, minute + minuteMs];
}

/** The running one and the four before, each as often. */
function recentMinute(): number {
  const [from] = lastMinutes();
  return from + minuteMs * Math.floor(Math.random() * 5);
}

function inTurn(...questions: readonly (() => Question)[]): () => Question {
  let turn = 0;
  return () => questions[turn++ % questions.length]!();
}

/** Where there is none yet, one that nobody has posted. */
function anyOf<T>(all: readonly T[]): T {
  return all[Math.floor(Math.random() * all.length)] ?? ('none' as T);
}
