/** How available ingest and aggregators were while a kind of fault struck: from the clients' own record and from the log. */
import type { LoggedLine } from '../../support/cluster-control.ts';
import type { Post } from './load.ts';
import type { Strike } from './strikes.ts';

/** Of all strikes of a kind. Times in ms; the worst of all where it is not said otherwise. */
export interface Availability {
  readonly kind: string;
  readonly strikes: number;
  readonly posts: number;
  /** Posts whose first answer was no acknowledgement. */
  readonly refused: number;
  /** Of all, refused or not: no acknowledgement within 5 s of the first attempt, though they tried again. */
  readonly notWithin5s: number;
  /** From a post's first attempt to its acknowledgement. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** The longest time without an acknowledged single click, of any partition that the fault took, and of any other. */
  readonly fallenSilent: number;
  readonly othersSilent: number;
  /** From the strike to the first single click acknowledged that was posted after it, of the slowest partition. */
  readonly fallenFirstAck: number;
  readonly othersFirstAck: number;
  /** The longest time between two commits of an aggregator, of any partition. */
  readonly uncounted: number;
  /** Acknowledged while it had to be refused. */
  readonly wronglyAcked: number;
}

const patienceMs = 5_000;

export function availabilityOf(
  strikes: readonly Strike[],
  posts: readonly Post[],
  aggregates: readonly LoggedLine[],
  partitions: number,
): Availability[] {
  const kinds = [...new Set(strikes.map(({ kind }) => kind))];
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  const commits = Map.groupBy(
    aggregates.filter(({ kind }) => kind === 'progress'),
    ({ partition }) => partition,
  );
  return kinds.map(kind => {
    const mine = strikes.filter(strike => strike.kind === kind);
    const during = mine.flatMap(strike => posts.filter(({ at }) => at >= strike.at && at < strike.until));
    const waits = during
      .filter(post => post.ackedAt !== undefined)
      .map(post => post.ackedAt! - post.at)
      .sort((a, b) => a - b);
    const refused = during.filter(post => post.refusals + post.failures > 0);
    const worst = (of: (strike: Strike, partition: number) => number, isFallen: boolean) =>
      highest(
        mine.flatMap(strike =>
          all.filter(partition => strike.fallen.has(partition) === isFallen).map(partition => of(strike, partition)),
        ),
      );
    const singles = Map.groupBy(
      posts.filter(({ isSingle }) => isSingle),
      ({ partitions: [partition] }) => partition ?? 0,
    );
    const silent = (strike: Strike, partition: number) =>
      longestGap(
        (singles.get(partition) ?? []).map(({ ackedAt }) => ackedAt ?? 0),
        strike,
      );
    const firstAck = (strike: Strike, partition: number) => {
      const later = (singles.get(partition) ?? []).filter(
        ({ at, ackedAt }) => at >= strike.at && ackedAt !== undefined,
      );
      return lowest(later.map(({ ackedAt }) => ackedAt!)) - strike.at;
    };
    const uncounted = (strike: Strike, partition: number) =>
      longestGap(
        (commits.get(partition) ?? []).map(({ appendedAt }) => appendedAt),
        strike,
      );
    return {
      kind,
      strikes: mine.length,
      posts: during.length,
      refused: refused.length,
      notWithin5s: during.filter(({ at, ackedAt }) => ackedAt === undefined || ackedAt - at > patienceMs).length,
      p50: waits[Math.floor(waits.length / 2)] ?? Number.NaN,
      p99: waits[Math.floor(waits.length * 0.99)] ?? Number.NaN,
      max: waits.at(-1) ?? Number.NaN,
      fallenSilent: worst(silent, true),
      othersSilent: worst(silent, false),
      fallenFirstAck: worst(firstAck, true),
      othersFirstAck: worst(firstAck, false),
      uncounted: highest(mine.flatMap(strike => all.map(partition => uncounted(strike, partition)))),
      wronglyAcked: mine.reduce((sum, strike) => sum + wronglyAcked(strike, posts), 0),
    };
  });
}

/** Posted after every ISR was too small, and acknowledged before that was mended. */
function wronglyAcked({ mustRefuseFrom, healedAt }: Strike, posts: readonly Post[]): number {
  if (mustRefuseFrom === undefined) return 0;
  return posts.filter(({ at, ackedAt }) => at > mustRefuseFrom && ackedAt !== undefined && ackedAt < healedAt).length;
}

/** Between two neighbours of `times`, the strike's beginning and its end among them. */
function longestGap(times: readonly number[], { at, until }: Strike): number {
  const within = [at, ...times.filter(time => time > at && time < until).sort((a, b) => a - b), until];
  return highest(within.slice(1).map((time, index) => time - within[index]!));
}

function highest(values: readonly number[]): number {
  return values.reduce((most, next) => Math.max(most, next), Number.NEGATIVE_INFINITY);
}

function lowest(values: readonly number[]): number {
  return values.reduce((least, next) => Math.min(least, next), Number.POSITIVE_INFINITY);
}
