/**
 * The time of receipt of clicks: that of this process, unless it differs by more than a minute from that of the broker, by
 * which every minute becomes final. Then it is the broker's. So an ingest process with a wrong clock neither refuses the
 * clicks of clients whose clocks are right, nor dates clicks into other minutes. Which of two clocks is wrong nobody knows:
 * what is refused for its time while they differ must not be refused for good (`doubt`). Clocks and records come from
 * outside.
 *
 * The broker's time is known by records that were just appended. But a record may be read long after it was appended: the
 * last one before a standstill, or one of a backlog. So a record is believed if it says what our clock says, or if another
 * one, some seconds before, was as far ahead of the monotonic clock. That clock stands still while a machine is suspended:
 * when ours has gone ahead of it, ours is believed until the next record.
 */
export interface ClickTime {
  /** Epoch ms. */
  now(): number;
  /** Why a time that is refused may be right, or undefined. */
  doubt(): string | undefined;
}

/** `wall` returns epoch ms, and `monotonic` milliseconds of a clock that does not go back. */
export interface OwnClocks {
  readonly wall: () => number;
  readonly monotonic: () => number;
}

interface Heard {
  readonly at: number;
  /** How far the record's time was ahead of the monotonic clock. */
  readonly aheadMs: number;
}

export class ReceiptClock implements ClickTime {
  readonly #clocks: OwnClocks;
  #heard: readonly Heard[] = [];
  #brokerAheadMs: number | undefined;
  /** How far our clock was ahead of the monotonic one when a record was read last. */
  #ownAheadMs = 0;

  constructor(clocks: OwnClocks = { wall: Date.now, monotonic: () => performance.now() }) {
    this.#clocks = clocks;
  }

  /** A record was read, which was appended at this time (epoch ms), most likely just now. */
  heard(appendedAt: number): void {
    const at = this.#clocks.monotonic();
    const aheadMs = appendedAt - at;
    this.#ownAheadMs = this.#clocks.wall() - at;
    const isOurs = Math.abs(this.#ownAheadMs - aheadMs) <= mostDifferenceMs;
    const isRepeated = this.#heard.some(
      before => at - before.at >= apartMs && Math.abs(aheadMs - before.aheadMs) <= sameMs,
    );
    if (isOurs || isRepeated) this.#brokerAheadMs = aheadMs;
    this.#heard = [...this.#heard.slice(1 - mostHeard), { at, aheadMs }];
  }

  now(): number {
    return this.#clocks.wall() - this.#wrongMs();
  }

  doubt(): string | undefined {
    const wrongMs = this.#wrongMs();
    if (wrongMs === 0) return undefined;
    const by = `${Math.round(Math.abs(wrongMs) / 1_000)} s ${wrongMs > 0 ? 'ahead of' : 'behind'}`;
    return `the clock of this process is ${by} that of the broker, so nobody knows here what time it is`;
  }

  /** How far our clock is ahead of the broker's. 0 unless that is too far. */
  #wrongMs(): number {
    const ownAheadMs = this.#clocks.wall() - this.#clocks.monotonic();
    if (this.#brokerAheadMs === undefined || ownAheadMs - this.#ownAheadMs > mostDifferenceMs) return 0;
    const wrongMs = Math.round(ownAheadMs - this.#brokerAheadMs);
    return Math.abs(wrongMs) > mostDifferenceMs ? wrongMs : 0;
  }
}

/** Far more than a record takes to be read, and far less than a click may be ahead. */
const mostDifferenceMs = 60_000;
/** Records of a backlog are read far faster than they were appended. */
const apartMs = 3_000;
const sameMs = 2_000;
/** At the least, one is appended every five seconds; several processes may do so. */
const mostHeard = 32;
