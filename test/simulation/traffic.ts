/**
 * The people who click, and what becomes of their clicks on the way: live and in disorder, late, copied (at once, many
 * times, much later), with ids that another ad has, ahead of time, written by others in other forms, or no clicks at all.
 */
import { type Click, formatLine } from '../../ingest/click.ts';
import { facts } from '../../ingest/validity/facts.ts';
import { refusedAd } from './fake-store.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface TrafficSettings {
  readonly outOfOrdernessMs: number;
  readonly allowedLatenessMs: number;
  readonly ads: number;
  /** 0 to 1: how much of it is out of the ordinary. */
  readonly wildness: number;
  readonly isFarAhead: boolean;
  /** Whether clicks say who clicks, and what was found out about them. */
  readonly hasPersons: boolean;
}

/** As an ingest process routes; undefined: it refuses. */
export type PartitionFor = (click: Click) => number | undefined;

export interface TrafficRecord {
  readonly partition: number;
  readonly value: string;
  /** Of its canonical lines. */
  readonly clickIds: readonly string[];
}

export class Traffic {
  readonly #settings: TrafficSettings;
  readonly #random: SeededRandom;
  readonly #sent: Click[] = [];
  #serial = 0;
  /** The latest event time of a click that counts, epoch ms. */
  lastClickedAt = 0;

  constructor(settings: TrafficSettings, random: SeededRandom) {
    this.#settings = settings;
    this.#random = random;
  }

  /** Undefined: it was refused. */
  next(now: number, partitionFor: PartitionFor): TrafficRecord | undefined {
    const random = this.#random;
    const { wildness } = this.#settings;
    if (random.chance(0.02 * wildness)) return this.#marketplace(now, partitionFor);
    const first = this.#click(now);
    const partition = partitionFor(first);
    if (partition === undefined) return undefined;
    const clicks = [first];
    const most = random.chance(0.1) ? 25 : 4;
    for (let more = random.between(0, most); more > 0; more--) {
      const click = this.#click(now);
      if (partitionFor(click) === partition) clicks.push(click);
    }
    const lines = clicks.map(formatLine);
    if (random.chance(0.05 * wildness))
      lines.splice(random.between(0, lines.length), 0, this.#oddLine(now, first.adId, partition));
    return { partition, value: this.#joined(lines), clickIds: clicks.map(click => click.clickId) };
  }

  /** One click in very many copies. */
  #marketplace(now: number, partitionFor: PartitionFor): TrafficRecord | undefined {
    const original = this.#fresh(now, 0);
    const partition = partitionFor(original);
    if (partition === undefined) return undefined;
    const copies = Array.from({ length: 50 }, () => ({ ...original, clickId: this.#mint() }));
    return {
      partition,
      value: this.#joined(copies.map(formatLine)),
      clickIds: copies.map(click => click.clickId),
    };
  }

  /** Blank lines and a newline at the end change nothing. */
  #joined(lines: readonly string[]): string {
    const text = lines.join(this.#random.chance(0.02) ? '\n\n' : '\n');
    return this.#random.chance(0.3) ? `${text}\n` : text;
  }

  #click(now: number): Click {
    const random = this.#random;
    const { wildness, outOfOrdernessMs, allowedLatenessMs } = this.#settings;
    if (this.#sent.length > 0 && random.chance(0.2 * wildness)) return this.#copy(now);
    const roll = random.next();
    if (roll < 0.04 * wildness)
      return this.#fresh(now, -random.between(0, outOfOrdernessMs + allowedLatenessMs + 150_000));
    if (roll < 0.06 * wildness) return this.#fresh(now, random.between(1, 10_000));
    if (roll < 0.065 * wildness) return this.#fresh(now, this.#settings.isFarAhead ? random.between(1, 290_000) : 0);
    if (roll < 0.075 * wildness) return this.#fresh(now, 310_000 + random.between(0, 86_400_000));
    return this.#fresh(now, roll < 0.6 ? -random.between(0, 500) : -random.between(0, outOfOrdernessMs));
  }

  #fresh(now: number, ahead: number): Click {
    const clickedAt = Math.floor(now) + ahead;
    const click: Click = {
      clickId: this.#mint(),
      eventId: `event-${this.#serial}`,
      adId: this.#ad(),
      clickedAt,
      receivedAt: Math.floor(now),
      country: this.#random.chance(0.7) ? 'KR' : 'DE',
      ...(this.#settings.hasPersons && personOf(this.#serial)),
    };
    this.#sent.push(click);
    if (ahead < 300_000) this.lastClickedAt = Math.max(this.lastClickedAt, clickedAt);
    return click;
  }

  /** A client's retry, of lately or of long ago; or a click of another ad whose clients give the same ids. */
  #copy(now: number): Click {
    const random = this.#random;
    const back = random.chance(0.7) ? random.between(1, 20) : random.between(1, this.#sent.length);
    const original = this.#sent[Math.max(0, this.#sent.length - back)]!;
    const adId = random.chance(0.2) ? this.#ad() : original.adId;
    const copy = { ...original, adId, clickId: this.#mint(), receivedAt: Math.floor(now) };
    return this.#settings.hasPersons ? { ...copy, ...factsOfCopy(original, this.#serial) } : copy;
  }

  /** A line in another form, or none that is a click. */
  #oddLine(now: number, adId: string, partition: number): string {
    const foreign = { clicked_at: Math.floor(now), ad_id: adId, extra: [1] };
    return this.#random.pick([
      JSON.stringify(foreign),
      JSON.stringify({ ...foreign, event_id: `foreign-${partition}-${this.#random.between(1, 5)}`, country: 'FR' }),
      JSON.stringify({ ...foreign, ad_id: 3 }),
      JSON.stringify({ ad_id: adId }),
      'garbage',
      '[]',
      '{"ad_id":"a","clicked_at":"',
    ]);
  }

  /** A few are hot. */
  #ad(): string {
    if (this.#random.chance(0.002 * this.#settings.wildness)) return refusedAd;
    return `ad-${Math.floor(this.#settings.ads * this.#random.next() ** 2)}`;
  }

  #mint(): string {
    return `01K${(++this.#serial).toString(36).toUpperCase().padStart(23, '0')}`;
  }
}

/** Most copies say the same of a click, but all or none that it is allowed: otherwise the first of them decides. */
function factsOfCopy({ facts: said = 0 }: Click, serial: number): Pick<Click, 'facts'> {
  const { facts: other = 0 } = personOf(serial);
  if (serial % 3 > 0 || (said & facts.allowed.bit) > 0) return {};
  return { facts: other & ~facts.allowed.bit };
}

/** Few persons and addresses, so that caps are reached. It takes no random number, so the course of a life stays as it was. */
function personOf(serial: number): Pick<Click, 'userId' | 'ip' | 'userAgent' | 'facts'> {
  const found = serial % 13;
  return {
    ...(serial % 3 > 0 && { userId: `user ${serial % 4}` }),
    ...(serial % 5 > 0 && { ip: `203.0.113.${serial % 2}` }),
    ...(serial % 7 > 0 && { userAgent: 'a browser' }),
    ...(found < 7 && { facts: 1 << found }),
  };
}
