/**
 * Keeps every API key within its quotas, in this process: what it may use is its quota, or that of the settings, times
 * the share of this process (infra/quotas/).
 *
 * It is asked before the body of a request is read, so a refusal costs next to nothing. How many clicks a batch has is
 * known only afterwards. So a request is admitted if one click is there, and when its clicks are known, all are taken, or
 * all are refused because others have emptied the bucket meanwhile: never a part of them. What a key has overdrawn by its
 * last batch it makes good before the next one.
 *
 * The table has one entry for each key that was used, and there are at most as many as keys (infra/keys/key-book.ts).
 */
import type { Key } from '../keys/key-book.ts';
import { Problem } from '../problem.ts';
import { mostDemands } from '../quotas/member-record.ts';
import type { QuotaShares } from '../quotas/quota-shares.ts';
import { type QuotaName, type Quotas, quotaMeanings } from '../quotas/quotas.ts';
import type { Limit } from '../quotas/rate-limit-fields.ts';
import { type BucketRule, TokenBucket } from '../quotas/token-bucket.ts';
import { type HeldName, KeyLoad, type RateName } from './key-load.ts';

export interface KeyQuotasOptions {
  readonly defaults: Quotas;
  readonly shares: QuotaShares;
  /** Milliseconds of a clock that does not go back. */
  readonly now?: () => number;
}

export class KeyQuotas {
  readonly #defaults: Quotas;
  readonly #shares: QuotaShares;
  readonly #now: () => number;
  readonly #loads = new Map<string, KeyLoad>();

  constructor({ defaults, shares, now = () => performance.now() }: KeyQuotasOptions) {
    this.#defaults = defaults;
    this.#shares = shares;
    this.#now = now;
  }

  /** Before a request is read. Takes one click. @throws Problem 429 */
  admitClicks(key: Key): void {
    this.#admit(key, 'clicks_per_second', 1);
  }

  /** Takes the other clicks of a batch, all of them. @throws Problem 429, and then none was taken */
  takeClicks(key: Key, others: number): void {
    if (others <= 0) return;
    const at = this.#bucketOf(key, 'clicks_per_second');
    if (at === undefined) return;
    // One click of this request was taken already.
    if (!at.bucket.has(0, at.rule, at.nowMs)) throw this.#used(at, 'clicks_per_second', 1);
    at.bucket.take(others, at.rule, at.nowMs);
    at.load.takes(others, false);
  }

  /** @throws Problem 429 if no time is left */
  admitRawRead(key: Key): void {
    this.#admit(key, 'raw_read_seconds_per_minute', 0);
  }

  chargeRawRead(key: Key, seconds: number): void {
    const at = this.#bucketOf(key, 'raw_read_seconds_per_minute');
    at?.bucket.take(seconds, at.rule, at.nowMs);
  }

  /**
   * Holds so much until the returned function is called, once. Whoever holds nothing may always hold one thing, of
   * whatever size. @throws Problem 429
   */
  hold(key: Key, name: HeldName, amount: number): () => void {
    const load = this.#loadOf(key);
    const quota = this.#quotaOf(key, name);
    if (quota > 0 && load.held[name] > 0) {
      const most = Math.max(1, Math.floor(quota * this.#shares.shareOf(key.id)));
      if (load.held[name] + amount > most) throw this.#full(load, name, quota, most);
    }
    load.held[name] += amount;
    return () => {
      load.held[name] -= amount;
    };
  }

  /** How many things of `name` the key may hold in this process; Infinity if there is no limit. */
  mostOf(key: Key, name: HeldName): number {
    const quota = this.#quotaOf(key, name);
    return quota === 0 ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(quota * this.#shares.shareOf(key.id)));
  }

  refuse(key: Key, name: HeldName): Problem {
    const quota = this.#quotaOf(key, name);
    return this.#full(this.#loadOf(key), name, quota, this.mostOf(key, name));
  }

  /** What is left of the clicks, if it is little enough to be told. */
  littleLeft(key: Key): Limit | undefined {
    const at = this.#bucketOf(key, 'clicks_per_second');
    if (at === undefined || at.bucket.level(at.rule, at.nowMs) > toldBelow * at.rule.burst) return undefined;
    return limitOf(at, 'clicks_per_second', at.bucket.waitS(1, at.rule, at.nowMs));
  }

  /** What is asked for, by key, since the last call: of the keys that ask for the most of their quota. */
  demands(passedMs: number): Map<string, number> {
    const all = [...this.#loads.values()]
      .map(({ key }) => key.id)
      .map(id => [id, this.#loads.get(id)!.demandAfter(passedMs)] as const)
      .filter(([, demand]) => demand > 0);
    const partOf = ([id, demand]: readonly [string, number]) =>
      demand / (this.#quotaOf(this.#loads.get(id)!.key, 'clicks_per_second') || Number.POSITIVE_INFINITY);
    return new Map(all.sort((a, b) => partOf(b) - partOf(a)).slice(0, mostDemands));
  }

  /** The key that has been at its quota for the longest. */
  longestAtQuota(name: QuotaName): { readonly key: Key; readonly ms: number } | undefined {
    const nowMs = this.#now();
    let longest: { key: Key; ms: number } | undefined;
    for (const load of this.#loads.values()) {
      const ms = load.atQuotaMs(name, nowMs);
      if (ms > (longest?.ms ?? 0)) longest = { key: load.key, ms };
    }
    return longest;
  }

  #admit(key: Key, name: RateName, units: number): void {
    const at = this.#bucketOf(key, name);
    if (at === undefined) return;
    if (!at.bucket.has(Math.max(units, leastLevel), at.rule, at.nowMs)) throw this.#used(at, name, units);
    at.bucket.take(units, at.rule, at.nowMs);
    if (name === 'clicks_per_second') at.load.takes(units, true);
  }

  #quotaOf(key: Key, name: QuotaName): number {
    return key.quotas[name] ?? this.#defaults[name];
  }

  #loadOf(key: Key): KeyLoad {
    let load = this.#loads.get(key.id);
    if (load === undefined) {
      load = new KeyLoad(key);
      this.#loads.set(key.id, load);
    }
    load.key = key;
    return load;
  }

  #bucketOf(key: Key, name: RateName): BucketAt | undefined {
    const quota = this.#quotaOf(key, name);
    if (quota === 0) return undefined;
    const load = this.#loadOf(key);
    const nowMs = this.#now();
    const perSecond = name === 'clicks_per_second' ? quota : quota / 60;
    const burst = name === 'clicks_per_second' ? quota * Math.max(1, this.#quotaOf(key, 'burst_seconds')) : quota;
    const share = this.#shares.shareOf(key.id);
    const rule = { perSecond: perSecond * share, burst: Math.max(1, burst * share) };
    let bucket = load.buckets[name];
    if (bucket === undefined) {
      // Where others give out the same quota, this process does not know what they have given out.
      const atFirst = this.#shares.isAlone() ? rule.burst : Math.max(1, Math.min(rule.burst, rule.perSecond));
      bucket = new TokenBucket(atFirst, nowMs);
      load.buckets[name] = bucket;
    }
    return { load, bucket, rule, nowMs, whole: { perSecond, burst } };
  }

  #used(at: BucketAt, name: RateName, units: number): Problem {
    at.load.refuses(name, at.nowMs);
    const waitS = at.bucket.waitS(Math.max(units, leastLevel), at.rule, at.nowMs);
    const { quotas } = at.load.key;
    const { perSecond, burst } = at.whole;
    const rule =
      name === 'clicks_per_second'
        ? `${perSecond} clicks per second and ${burst} at once`
        : `${burst} seconds of raw reads per minute`;
    const detail = `API key ${at.load.key.id} may use ${rule} (${sourceOf(quotas, name)}): wait ${waitS} s`;
    return new Problem(429, codes[name], detail, {}, waitS, limitOf(at, name, waitS));
  }

  #full(load: KeyLoad, name: HeldName, quota: number, most: number): Problem {
    load.refuses(name, this.#now());
    const here = most < quota ? `, of which ${most} in this process` : '';
    const detail = `API key ${load.key.id} has used up its ${quota} ${heldWords[name]}${here} (${sourceOf(load.key.quotas, name)})`;
    const remaining = Math.max(0, most - load.held[name]);
    const { unit } = quotaMeanings[name];
    const limit = { policy: policies[name], quota, unit, ownUnit: ownUnits[name], remaining };
    return new Problem(429, codes[name], detail, {}, heldRetryS[name], limit);
  }
}

interface BucketAt {
  readonly load: KeyLoad;
  readonly bucket: TokenBucket;
  /** The part of this process. */
  readonly rule: BucketRule;
  readonly whole: BucketRule;
  readonly nowMs: number;
}

function limitOf({ bucket, rule, whole, nowMs }: BucketAt, name: RateName, resetS: number): Limit {
  return {
    policy: policies[name],
    quota: whole.burst,
    ownUnit: ownUnits[name],
    windowS: whole.burst / whole.perSecond,
    remaining: bucket.level(rule, nowMs),
    resetS,
  };
}

function sourceOf(quotas: Key['quotas'], name: QuotaName): string {
  return quotas[name] === undefined ? quotaMeanings[name].setting : `${name} of the key`;
}

/** Of time, anything above nothing will do. */
const leastLevel = 0.001;
/** The fields are told with every answer when less than this part is left. */
const toldBelow = 0.25;

type Limited = HeldName | RateName;

const policies = {
  clicks_per_second: 'key-clicks',
  bytes_in_flight: 'key-bytes',
  connections: 'key-connections',
  open_jobs: 'key-jobs',
  exports: 'key-exports',
  live_listeners: 'key-listeners',
  raw_read_seconds_per_minute: 'key-raw-reads',
} as const satisfies Record<Limited, string>;

/** Units that the draft does not know. */
const ownUnits: Partial<Record<Limited, string>> = {
  clicks_per_second: 'clicks',
  open_jobs: 'jobs',
  raw_read_seconds_per_minute: 'seconds',
};

/** Of problems. */
const codes = {
  clicks_per_second: 'key_rate_limited',
  bytes_in_flight: 'key_busy',
  connections: 'key_connections',
  open_jobs: 'key_open_jobs',
  exports: 'key_exports',
  live_listeners: 'key_listeners',
  raw_read_seconds_per_minute: 'key_raw_reads',
} as const satisfies Record<Limited, string>;

const heldWords: Readonly<Record<HeldName, string>> = {
  bytes_in_flight: 'bytes of requests that are not answered yet',
  connections: 'connections',
  open_jobs: 'open jobs',
  exports: 'exports at the same time',
  live_listeners: 'listeners',
};

/** How long to wait is not known: until another request of the key has ended. */
const heldRetryS: Readonly<Record<HeldName, number>> = {
  bytes_in_flight: 1,
  connections: 1,
  open_jobs: 30,
  exports: 10,
  live_listeners: 10,
};
