/**
 * Processes that share the quota of one key, over a log that each reads with a delay of its own: they join, end, are
 * killed, are paused, and are cut off from the log, while clicks are posted to all of them. Time goes in steps.
 */

import { KeyQuotas } from '../../infra/key-quotas/key-quotas.ts';
import type { Key } from '../../infra/keys/key-book.ts';
import { type Beat, MemberShares, shareTerms } from '../../infra/quotas/member-shares.ts';
import { keysInMemory } from '../support/api-keys.ts';
import { SeededRandom } from './seeded-random.ts';

const stepMs = 100;
const lengthMs = 200_000;
/** In the end nothing happens any more, so that what was lost must have been given back. */
const calmMs = 50_000;
/** Of a record, until it is appended and until it is read. */
const mostDelayMs = 1_200;
const quota = { clicks_per_second: 200, burst_seconds: 10 };
const largestBatch = 60;

export interface QuotaOutcome {
  /** The largest sum of the shares of all that are not cut off. */
  largestShare: number;
  /** At the end. */
  lastShare: number;
  /** What was taken beyond what is stated, at worst. Negative if never. */
  excess: number;
  readonly happened: Map<string, number>;
}

interface Process {
  readonly name: string;
  readonly shares: MemberShares;
  readonly quotas: KeyQuotas;
  readonly clockAheadMs: number;
  readonly demand: () => number;
  read: number;
  readAgainAtMs: number;
  beatAtMs: number;
  pausedUntilMs: number;
  cutOffUntilMs: number;
  wasAlone: boolean | undefined;
  isServing: boolean;
}

export function simulateQuotas(seed: number): QuotaOutcome {
  return new QuotaWorld(seed).run();
}

class QuotaWorld {
  readonly #random: SeededRandom;
  readonly #key: Key;
  readonly #log: { readonly beat: Beat; readonly appendedAt: number }[] = [];
  /** Sent, and not appended yet. */
  #underWay: { readonly beat: Beat; readonly atMs: number }[] = [];
  #processes: Process[] = [];
  #started = 0;
  #nowMs = 0;
  readonly #taken: { readonly atMs: number; readonly clicks: number }[] = [];
  #starts = 0;
  #cutOffShareMs = 0;
  readonly #outcome: QuotaOutcome = {
    ...{ largestShare: 0, lastShare: 0, excess: Number.NEGATIVE_INFINITY },
    happened: new Map(),
  };

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    const keys = keysInMemory();
    const text = keys.add({ scopes: ['ingest'], quotas: quota });
    this.#key = keys.book.get(text.slice(9, 25))!;
  }

  run(): QuotaOutcome {
    for (let i = this.#random.between(1, 3); i > 0; i--) this.#start();
    for (; this.#nowMs < lengthMs; this.#nowMs += stepMs) {
      if (!this.#isCalm()) this.#disturb();
      this.#append();
      for (const process of this.#processes) this.#step(process);
      this.#check();
    }
    this.#checkTaken();
    return this.#outcome;
  }

  #isCalm(): boolean {
    return this.#nowMs >= lengthMs - calmMs;
  }

  #count(what: string): void {
    this.#outcome.happened.set(what, (this.#outcome.happened.get(what) ?? 0) + 1);
  }

  #start(): void {
    this.#count('start');
    const name = `process ${this.#started++}`;
    const shares = new MemberShares(name);
    const clockAheadMs = this.#random.between(0, 1_000_000);
    const clock = () => this.#nowMs + clockAheadMs;
    const [most, changeMs] = [this.#random.pick([0, 20, 300, 3_000]), this.#random.between(5_000, 60_000)];
    const process: Process = {
      ...{ name, shares, clockAheadMs, read: 0, readAgainAtMs: 0, beatAtMs: this.#nowMs },
      ...{ pausedUntilMs: 0, cutOffUntilMs: 0, wasAlone: undefined, isServing: false },
      demand: () => (this.#isCalm() || Math.floor(this.#nowMs / changeMs) % 2 === 0 ? most : most / 5),
      quotas: new KeyQuotas({
        defaults: { ...quota, ...others },
        shares: {
          shareOf: key => shares.shareOf(key, clock()),
          isAlone: () => process.wasAlone === true && shares.size === 1,
        },
        now: clock,
      }),
    };
    this.#starts++;
    this.#processes.push(process);
  }

  #disturb(): void {
    const random = this.#random;
    const process = random.pick(this.#processes);
    if (random.chance(0.004) && this.#processes.length < 5) this.#start();
    if (process === undefined || !random.chance(0.006)) return;
    const how = random.pick(['kill', 'end', 'pause', 'cut off'] as const);
    this.#count(how);
    if (how === 'pause') process.pausedUntilMs = this.#nowMs + random.between(1_000, 20_000);
    else if (how === 'cut off') process.cutOffUntilMs = this.#nowMs + random.between(1_000, 30_000);
    else this.#processes = this.#processes.filter(other => other !== process);
    if (how === 'end') this.#send({ member: process.name, sentAtMs: 0, hasLeft: true, demands: new Map() });
    if (this.#processes.length === 0) this.#start();
  }

  #send(beat: Beat): void {
    this.#underWay.push({ beat, atMs: this.#nowMs + this.#random.between(0, mostDelayMs) });
  }

  #append(): void {
    const due = this.#underWay.filter(({ atMs }) => atMs <= this.#nowMs).sort((a, b) => a.atMs - b.atMs);
    this.#underWay = this.#underWay.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { beat } of due) this.#log.push({ beat, appendedAt: 5_000_000 + this.#nowMs });
  }

  #step(process: Process): void {
    const { shares, quotas, clockAheadMs } = process;
    if (this.#nowMs < process.pausedUntilMs) return;
    const clock = this.#nowMs + clockAheadMs;
    // Clicks first: who wakes after a pause takes them with what it knew before.
    if (process.isServing) this.#post(process);
    if (this.#nowMs < process.cutOffUntilMs) return;
    if (this.#nowMs >= process.beatAtMs) {
      process.beatAtMs = this.#nowMs + shareTerms.beatMs;
      const demands = quotas.demands(shareTerms.beatMs);
      this.#send({ member: process.name, sentAtMs: clock, hasLeft: false, demands });
    }
    if (this.#nowMs >= process.readAgainAtMs) {
      process.readAgainAtMs = this.#nowMs + this.#random.between(0, mostDelayMs);
      for (; process.read < this.#log.length; process.read++) {
        const { beat, appendedAt } = this.#log[process.read]!;
        shares.take(beat, appendedAt, clock);
      }
      if (shares.hasJoined) process.wasAlone ??= shares.size === 1;
    }
    process.isServing ||= shares.isSettled(clock);
  }

  #post({ quotas, demand }: Process): void {
    let wanted = (demand() * stepMs) / 1_000;
    while (wanted > this.#random.next()) {
      const clicks = this.#random.pick([1, 1, 5, largestBatch]);
      wanted -= clicks;
      try {
        quotas.admitClicks(this.#key);
        quotas.takeClicks(this.#key, clicks - 1);
        this.#taken.push({ atMs: this.#nowMs, clicks });
      } catch {
        this.#count('refused');
      }
    }
  }

  #check(): void {
    let [share, cutOff] = [0, 0];
    for (const { shares, clockAheadMs, isServing, pausedUntilMs } of this.#processes) {
      if (!isServing || this.#nowMs < pausedUntilMs) continue;
      const clock = this.#nowMs + clockAheadMs;
      if (shares.isCutOff(clock)) cutOff += 1 / shares.size;
      else share += shares.shareOf(this.#key.id, clock);
    }
    if (cutOff > 0) this.#count('served while cut off');
    this.#cutOffShareMs += cutOff * stepMs;
    const outcome = this.#outcome;
    outcome.largestShare = Math.max(outcome.largestShare, share);
    outcome.lastShare = share;
  }

  /** Over the whole run, which is longer than any burst. */
  #checkTaken(): void {
    const { clicks_per_second: rate, burst_seconds } = quota;
    const clicks = this.#taken.reduce((sum, each) => sum + each.clicks, 0);
    const ofStarts = this.#starts * (rate + largestBatch);
    const ofCutOff = (this.#cutOffShareMs / 1_000) * rate;
    const burst = rate * burst_seconds;
    this.#outcome.excess = clicks - (burst + (rate * lengthMs) / 1_000 + ofStarts + ofCutOff);
  }
}

const others = {
  ...{ bytes_in_flight: 0, connections: 0, open_jobs: 0, exports: 0, live_listeners: 0 },
  raw_read_seconds_per_minute: 0,
};
