/**
 * Decides which part of each key's quota this process may give out, when several processes of one kind take requests.
 * It is pure: clock and records come from outside.
 *
 * Every process appends a beat every `beatMs` to a topic that all of them follow (member-record.ts). Who is alive is a
 * function of the log alone: a member whose last beat was appended at most `aliveMs` before the newest record. So all who
 * have read equally far agree, and the shares that they work out add up to one. Of a quota, a tenth is split evenly, so
 * that a key that goes to another process finds something there at once. The rest is split by demand, which the beats
 * tell. A process alone has all of it.
 *
 * They do not read at the same moment. So a process uses the smallest share that it worked out within the last
 * `settleMs`: a smaller share holds at once, and a larger one only when everybody has read why. This is safe while each
 * has read what any other had read `settleMs` ago, and a process knows that of itself, because it has read back its own
 * beat of this time. One that has not is cut off from the log, and has an even share of the members that it knows: the
 * others give its share to themselves, so for as long as processes are cut off, all together may give out up to twice a
 * quota. To refuse everything instead would lose clicks for an outage that has nothing to do with them.
 *
 * | what happens | what may be given out meanwhile |
 * | --- | --- |
 * | a process joins | never more than the quota; it waits for `settleMs` before it takes requests |
 * | one ends properly | its share is given to others after `settleMs` |
 * | one dies | its share is given to others after `aliveMs`, the next beat and `settleMs` |
 * | n of N are cut off and take requests | up to 1 + n/N of the quota, for as long as they are |
 */
export interface Beat {
  /** Of one process, from its start to its end. */
  readonly member: string;
  /** Its own clock, for itself alone. */
  readonly sentAtMs: number;
  /** It has ended, and takes no more requests. */
  readonly hasLeft: boolean;
  /** Units per second that are asked for there, by key. A key that is not listed asks for none. */
  readonly demands: ReadonlyMap<string, number>;
}

export interface ShareTerms {
  readonly beatMs: number;
  readonly aliveMs: number;
  readonly settleMs: number;
}

export const shareTerms: ShareTerms = { beatMs: 2_000, aliveMs: 8_000, settleMs: 5_000 };

/** This part is split evenly, whatever is asked for. */
const evenPart = 0.1;
/** More members are not counted. The topic would be damaged. */
const mostMembers = 1_000;

export class MemberShares {
  readonly #self: string;
  readonly #terms: ShareTerms;
  readonly #members = new Map<string, Member>();
  /** What was worked out, the oldest first: the one that was in force `settleMs` ago, and all later ones. */
  #views: View[] = [];
  #ownSentAtMs = Number.NEGATIVE_INFINITY;

  constructor(self: string, terms: ShareTerms = shareTerms) {
    this.#self = self;
    this.#terms = terms;
  }

  /** In the order of the log. `appendedAt` is the broker's time, and `nowMs` that of this process. */
  take(beat: Beat, appendedAt: number, nowMs: number): void {
    this.#members.delete(beat.member);
    if (!beat.hasLeft) this.#members.set(beat.member, { appendedAt, demands: beat.demands });
    for (const [name, member] of this.#members) {
      if (appendedAt - member.appendedAt > this.#terms.aliveMs || this.#members.size > mostMembers)
        this.#members.delete(name);
    }
    if (beat.member === this.#self) this.#ownSentAtMs = Math.max(this.#ownSentAtMs, beat.sentAtMs);
    // What was before this process is not its own.
    if (this.#views.length === 0 && beat.member !== this.#self) return;
    const isAlone = this.#members.size === 1;
    if (this.#views.length === 0 && !isAlone) this.#views.push({ fromMs: Number.NEGATIVE_INFINITY, ...nothing });
    this.#views.push({ fromMs: nowMs, ...this.#workOut() });
    this.#forget(nowMs);
  }

  /** Whether this process has read that it is a member. */
  get hasJoined(): boolean {
    return this.#views.length > 0;
  }

  /** Whether it has a share of every quota, and so can take requests. */
  isSettled(nowMs: number): boolean {
    return this.hasJoined && this.shareOf('', nowMs) > 0;
  }

  /** The living members of which this process knows, itself among them. */
  get size(): number {
    return Math.max(1, this.#members.size);
  }

  /** Whether it does not know what the others know. */
  isCutOff(nowMs: number): boolean {
    return nowMs - this.#ownSentAtMs > this.#terms.settleMs;
  }

  /** From 0 to 1. */
  shareOf(key: string, nowMs: number): number {
    if (!this.hasJoined) return 0;
    if (this.isCutOff(nowMs)) return 1 / this.size;
    this.#forget(nowMs);
    let least = 1;
    for (const { even, byKey } of this.#views) least = Math.min(least, byKey.get(key) ?? even);
    return least;
  }

  #workOut(): Omit<View, 'fromMs'> {
    const own = this.#members.get(this.#self);
    if (own === undefined) return nothing;
    const sums = new Map<string, number>();
    for (const { demands } of this.#members.values())
      for (const [key, demand] of demands) sums.set(key, (sums.get(key) ?? 0) + demand);
    const even = 1 / this.#members.size;
    const byKey = new Map<string, number>();
    for (const [key, sum] of sums)
      if (sum > 0) byKey.set(key, evenPart * even + (1 - evenPart) * ((own.demands.get(key) ?? 0) / sum));
    return { even, byKey };
  }

  #forget(nowMs: number): void {
    const views = this.#views;
    while (views.length > 1 && views[1]!.fromMs <= nowMs - this.#terms.settleMs) views.shift();
  }
}

interface Member {
  readonly appendedAt: number;
  readonly demands: Beat['demands'];
}

/** The shares of this process after one record. */
interface View {
  readonly fromMs: number;
  /** Of a key for which nobody asks. */
  readonly even: number;
  readonly byKey: ReadonlyMap<string, number>;
}

const nothing: Omit<View, 'fromMs'> = { even: 0, byKey: new Map() };
