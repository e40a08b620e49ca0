/**
 * Clients at a steady pace, whatever the answers: single clicks, each of which shows how its own partition fares, and
 * batches over all partitions. A click that was not acknowledged is posted again, to the other ingest, with the same
 * event_id; some are posted again though they were acknowledged, and some are no clicks. Everything is remembered: what
 * became of every click, and when.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { partitionOf } from '../../../ingest/click.ts';
import type { Fate, LedgerClick } from '../ledger.ts';

/** One request with all its attempts. Times are epoch ms. */
export interface Post {
  readonly at: number;
  /** Of its clicks. One click: one partition. */
  readonly partitions: ReadonlySet<number>;
  readonly isSingle: boolean;
  /** Undefined: never, as far as the client knows. */
  ackedAt?: number;
  /** Answers that were no acknowledgement, and attempts without an answer. */
  refusals: number;
  failures: number;
}

export type ClusterLedger = ReadonlyMap<string, { readonly click: LedgerClick; readonly fate: Fate }>;

export interface ClusterLoad {
  readonly posts: readonly Post[];
  readonly acked: number;
  /** Posts that were not made because too many waited for their answer. */
  readonly heldBack: number;
  /** Ends posting; resolves when every post is answered or given up. */
  stop(): Promise<void>;
  ledger(): ClusterLedger;
  /** Leaves what it knows, for whoever looks into a failure. */
  write(file: string): void;
}

export interface ClusterLoadOptions {
  readonly urls: readonly string[];
  readonly partitions: number;
  readonly singlesPerSecond: number;
  readonly batchesPerSecond: number;
  readonly clicksPerBatch: number;
}

const adsPerPartition = 5;
const attemptTimeoutMs = 10_000;
/** Doubles with each attempt: five of them in the first 5 s, and no storm when all wait. */
const firstPauseMs = 250;
const longestPauseMs = 2_000;
/** A client gives up. */
const longestMs = 60_000;
const mostInFlight = 3_000;

interface Entry {
  readonly click: LedgerClick;
  isAcked: boolean;
  posts: number;
  rejections: number;
}

export function startClusterLoad(options: ClusterLoadOptions): ClusterLoad {
  const { urls, partitions, singlesPerSecond, batchesPerSecond, clicksPerBatch } = options;
  const ads = adsOf(partitions);
  const entries = new Map<string, Entry>();
  const sequences = new Map<string, number>();
  const posts: Post[] = [];
  const inFlight = new Set<Promise<void>>();
  const state = { acked: 0, heldBack: 0, isStopping: false, serial: 0 };
  let last: LedgerClick | undefined;

  const fresh = (): LedgerClick => {
    const serial = ++state.serial;
    const ad_id = ads[Math.floor(Math.random() * ads.length)]!;
    const sequence = (sequences.get(ad_id) ?? 0) + 1;
    sequences.set(ad_id, sequence);
    const clicked_at = Date.now() - Math.floor(Math.random() * 1_000);
    return { event_id: `${ad_id}#${sequence}`, ad_id, clicked_at, country: serial % 3 === 0 ? 'KR' : 'DE' };
  };
  /** Ingest has to refuse it. */
  const broken = (): LedgerClick => {
    return { event_id: `broken-${++state.serial}`, ad_id: 'no such ad!', clicked_at: Date.now(), country: 'DE' };
  };

  const attempt = async (post: Post, url: string, clicks: readonly LedgerClick[]): Promise<boolean> => {
    const known = clicks.map(click => {
      const entry = entries.get(click.event_id) ?? { click, isAcked: false, posts: 0, rejections: 0 };
      entry.posts++;
      entries.set(click.event_id, entry);
      return entry;
    });
    try {
      const response = await fetch(`${url}/v1/clicks`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(clicks.length === 1 ? clicks[0] : clicks),
        signal: AbortSignal.timeout(attemptTimeoutMs),
      });
      const body = (await response.json()) as { rejected?: { index: number }[] };
      if (response.status !== 202) {
        post.refusals++;
        return false;
      }
      const rejected = new Set((body.rejected ?? []).map(({ index }) => index));
      for (const [index, entry] of known.entries()) {
        if (rejected.has(index)) entry.rejections++;
        else if (!entry.isAcked) {
          entry.isAcked = true;
          state.acked++;
        }
      }
      return true;
    } catch {
      post.failures++;
      return false;
    }
  };

  const send = async (clicks: readonly LedgerClick[]): Promise<void> => {
    const post: Post = {
      at: Date.now(),
      partitions: new Set(clicks.map(({ ad_id }) => partitionOf(ad_id, partitions))),
      isSingle: clicks.length === 1,
      refusals: 0,
      failures: 0,
    };
    posts.push(post);
    const first = posts.length;
    for (let turn = 0; Date.now() - post.at < longestMs; turn++) {
      if (await attempt(post, urls[(first + turn) % urls.length]!, clicks)) {
        post.ackedAt = Date.now();
        return;
      }
      await sleep(Math.min(firstPauseMs * 2 ** turn, longestPauseMs));
    }
  };
  const start = (clicks: readonly LedgerClick[]) => {
    const sent = send(clicks).finally(() => inFlight.delete(sent));
    inFlight.add(sent);
  };

  /** Before a click is made: its number would be a hole. */
  const isHeldBack = () => {
    if (inFlight.size < mostInFlight) return false;
    state.heldBack++;
    return true;
  };
  const single = (turn: number) => {
    if (isHeldBack()) return;
    // Now and then a copy of what may have been acknowledged long ago.
    const click = turn % 29 === 0 && last !== undefined ? last : fresh();
    last = turn % 7 === 0 ? click : last;
    start([click]);
  };
  const batch = (turn: number) => {
    if (isHeldBack()) return;
    const clicks = Array.from({ length: clicksPerBatch }, fresh);
    if (turn % 11 === 0) clicks.push(broken());
    start(clicks);
  };
  const running = Promise.all([
    paced(singlesPerSecond, single, () => state.isStopping),
    paced(batchesPerSecond, batch, () => state.isStopping),
  ]);

  return {
    posts,
    get acked() {
      return state.acked;
    },
    get heldBack() {
      return state.heldBack;
    },
    async stop() {
      state.isStopping = true;
      await running;
      await Promise.all(inFlight);
    },
    ledger: () => new Map([...entries].map(([id, entry]) => [id, { click: entry.click, fate: fateOf(entry) }])),
    write: file =>
      writeFileSync(
        file,
        [...entries.values()].map(entry => `${JSON.stringify({ ...entry.click, fate: fateOf(entry) })}\n`).join(''),
      ),
  };
}

/** Acked if one post was, refused if every one rejected it, else unknown: it may be in the log, or not. */
function fateOf({ isAcked, posts, rejections }: Entry): Fate {
  if (isAcked) return 'acked';
  return rejections === posts ? 'refused' : 'unknown';
}

/** As many ads in each partition. */
function adsOf(partitions: number): string[] {
  const found = Array.from({ length: partitions }, () => [] as string[]);
  for (let n = 0; found.some(ads => ads.length < adsPerPartition); n++) {
    const ads = found[partitionOf(`ad-${n}`, partitions)]!;
    if (ads.length < adsPerPartition) ads.push(`ad-${n}`);
  }
  return found.flat();
}

async function paced(perSecond: number, work: (turn: number) => void, isOver: () => boolean): Promise<void> {
  const startedAt = performance.now();
  for (let turn = 1; perSecond > 0 && !isOver(); turn++) {
    const waitMs = startedAt + (turn * 1_000) / perSecond - performance.now();
    if (waitMs > 1) await sleep(waitMs);
    work(turn);
  }
}
