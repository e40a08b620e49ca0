/**
 * What is true of every prefix of a partition of `clicks`, worked out from the log alone as it grows. Stated in another
 * way than in `aggregator/core/`, with which it shares no code: JSON.parse, sets of strings, the history of every count.
 */
import { type Judged, notJudged } from '../../aggregator/ad-minute.ts';
import type { Click } from '../../ingest/click.ts';
import { factsIn } from '../../ingest/validity/facts.ts';
import type { RulesAt } from '../../ingest/validity/rules.ts';
import { bestOf, invalidOfCell, sumOf } from '../support/judged-clicks.ts';
import { refusedAd } from './fake-store.ts';
import type { ToldAcks } from './writers.ts';

export interface CellCounts {
  readonly clicks: number;
  readonly duplicates: number;
  readonly late: number;
}

export interface PrefixTotals {
  readonly watermark: number;
  readonly finalUntil: number;
  readonly received: number;
  readonly counted: number;
  readonly duplicates: number;
  readonly quarantined: number;
  readonly acknowledged: number;
  readonly missing: number;
  readonly invalid: number;
}

export interface TruthSettings {
  readonly outOfOrdernessMs: number;
  readonly allowedLatenessMs: number;
  readonly rulesAt: RulesAt;
}

interface Copy {
  readonly offset: number;
  readonly click: Click;
}

interface Step extends CellCounts {
  readonly offset: number;
}

/** Lines of other producers may share a click_id, if that is all they have. */
export function rawKey(clickId: string, adId: string, clickedAt: number): string {
  return `${clickId}|${adId}|${clickedAt}`;
}

const none: CellCounts = { clicks: 0, duplicates: 0, late: 0 };

export class PartitionTruth {
  readonly partition: number;
  readonly #settings: TruthSettings;
  /** `minute (epoch s)|ad|country` → its counts after each record that changed them. */
  readonly #cells = new Map<string, Step[]>();
  /** After each offset. */
  readonly #totals: PrefixTotals[] = [];
  /** By `minute|ad|event id`, the cell and the copies. */
  readonly #ids = new Map<string, { readonly key: string; readonly copies: Copy[] }>();
  /** Minute (epoch ms) → offset of the first record with a counted click of it. */
  readonly #firstOffsets = new Map<number, number>();
  /** `offset|line` → reason. */
  readonly quarantined = new Map<string, string>();
  /** `rawKey` of every click that belongs into raw. */
  readonly raw = new Set<string>();
  /** Of those, the ones too late to be counted. */
  readonly tooLate = new Set<string>();
  /** Lines for the ad that the store refuses. */
  refusedLines = 0;
  #watermark = 0;
  #received = 0;
  #counted = 0;
  #duplicates = 0;
  #invalid = 0;
  /** By cell, its distinct clicks in the order in which they were counted, each with all of its copies. */
  readonly #distinct = new Map<string, Copy[][]>();
  /** Of each writer, the most that one of its records has told. */
  readonly #acks = new Map<object, ToldAcks>();

  constructor(partition: number, settings: TruthSettings) {
    this.partition = partition;
    this.#settings = settings;
  }

  /** The next record of the log; `undefined` where an offset holds none. `told`: of batches before it. */
  append(appendedAt: number, value: string | undefined, told?: ToldAcks): void {
    if (told !== undefined && told.acknowledged >= (this.#acks.get(told.chain)?.acknowledged ?? 0))
      this.#acks.set(told.chain, told);
    const offset = this.#totals.length;
    const lines = value?.split('\n').filter(line => line.trim() !== '') ?? [];
    if (value !== undefined && lines.length === 0) this.#move(appendedAt);
    for (const [line, text] of lines.entries()) this.#take(offset, appendedAt, line, text);
    this.#totals.push(this.#now());
  }

  get length(): number {
    return this.#totals.length;
  }

  /** Of all records before `position`. */
  before(position: number): PrefixTotals {
    return this.#totals[position - 1] ?? { ...this.#empty };
  }

  cell(key: string, position = this.length): CellCounts {
    const steps = this.#cells.get(key) ?? [];
    let [low, high] = [0, steps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle]!.offset < position) low = middle + 1;
      else high = middle;
    }
    return steps[low - 1] ?? none;
  }

  /** What the rules of its minute say of the clicks of a cell, by their copies before `position`. */
  judged(key: string, position = this.length): Judged {
    const { version, rules } = this.#settings.rulesAt(Number(key.split('|')[0]) * 1_000);
    if (version === 0) return notJudged;
    const clicks = (this.#distinct.get(key) ?? []).flatMap(all => {
      const copies = all.filter(({ offset }) => offset < position).map(({ click }) => click);
      return copies.length === 0 ? [] : [bestOf(copies, rules)];
    });
    const invalid_by = invalidOfCell(clicks, rules);
    return { rules: version, invalid: sumOf(invalid_by), invalid_by };
  }

  cellKeys(): Iterable<string> {
    return this.#cells.keys();
  }

  /** Where a reader must begin to know all clicks of minutes that are not final before `position`. */
  restoreFrom(position: number): number {
    const { watermark } = this.before(position);
    let from = position;
    for (const [minute, first] of this.#firstOffsets) {
      if (minute + 60_000 + this.#settings.allowedLatenessMs > watermark) from = Math.min(from, first);
    }
    return from;
  }

  #take(offset: number, appendedAt: number, line: number, text: string): void {
    this.#received++;
    const click = clickOf(text, `log-${this.partition}-${offset}-${line}`);
    if (click === undefined) return void this.quarantined.set(`${offset}|${line}`, 'malformed');
    if (click.clickedAt > appendedAt + 300_000) {
      this.quarantined.set(`${offset}|${line}`, 'future');
      this.#move(appendedAt);
      return;
    }
    const key = rawKey(click.clickId, click.adId, click.clickedAt);
    if (click.adId === refusedAd) this.refusedLines++;
    else this.raw.add(key);
    const minute = Math.floor(click.clickedAt / 60_000) * 60_000;
    if (minute + 60_000 + this.#settings.allowedLatenessMs <= this.#watermark) {
      this.quarantined.set(`${offset}|${line}`, 'too_late');
      this.tooLate.add(key);
      return;
    }
    if (!this.#firstOffsets.has(minute)) this.#firstOffsets.set(minute, offset);
    this.#count(offset, minute, click);
    this.#move(Math.min(click.clickedAt, appendedAt));
  }

  #count(offset: number, minute: number, { eventId, adId, country, judgedBy }: ClickFields): void {
    const key = `${minute / 1_000}|${adId}|${country}`;
    const steps = this.#cells.get(key) ?? [];
    this.#cells.set(key, steps);
    const { clicks, duplicates, late } = steps.at(-1) ?? none;
    const id = `${minute}|${adId}|${eventId}`;
    const copy = { offset, click: judgedBy };
    const known = this.#ids.get(id);
    if (known !== undefined) {
      this.#duplicates++;
      steps.push({ offset, clicks, duplicates: duplicates + 1, late });
      if (known.copies.every(({ click }) => click.facts !== judgedBy.facts))
        this.#judge(known.key, () => known.copies.push(copy));
      return;
    }
    this.#counted++;
    const copies: Copy[] = [];
    this.#ids.set(id, { key, copies });
    this.#judge(key, () => {
      copies.push(copy);
      this.#distinct.set(key, [...(this.#distinct.get(key) ?? []), copies]);
    });
    const isLate = minute + 60_000 <= this.#watermark;
    steps.push({ offset, clicks: clicks + 1, duplicates, late: late + (isLate ? 1 : 0) });
  }

  #judge(key: string, change: () => void): void {
    const before = this.judged(key, Number.POSITIVE_INFINITY).invalid;
    change();
    this.#invalid += this.judged(key, Number.POSITIVE_INFINITY).invalid - before;
  }

  #move(eventTime: number): void {
    this.#watermark = Math.max(this.#watermark, eventTime - this.#settings.outOfOrdernessMs);
  }

  get #empty(): PrefixTotals {
    const lines = { received: 0, counted: 0, duplicates: 0, quarantined: 0, acknowledged: 0, missing: 0, invalid: 0 };
    return { watermark: 0, finalUntil: 0, ...lines };
  }

  #now(): PrefixTotals {
    const finalAt = Math.max(0, this.#watermark - this.#settings.allowedLatenessMs);
    const acks = [...this.#acks.values()];
    return {
      watermark: this.#watermark,
      finalUntil: Math.floor(finalAt / 60_000) * 60_000,
      received: this.#received,
      counted: this.#counted,
      duplicates: this.#duplicates,
      quarantined: this.quarantined.size,
      acknowledged: acks.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
      missing: acks.reduce((sum, { missing }) => sum + missing, 0),
      invalid: this.#invalid,
    };
  }
}

interface ClickFields {
  readonly clickId: string;
  readonly eventId: string;
  readonly adId: string;
  readonly clickedAt: number;
  readonly country: string;
  readonly judgedBy: Click;
}

/** Of the lines that traffic.ts writes. */
function clickOf(text: string, placeId: string): ClickFields | undefined {
  try {
    const { click_id, event_id, ad_id, clicked_at, country, ...person } = JSON.parse(text);
    if (typeof ad_id !== 'string' || typeof clicked_at !== 'number') return undefined;
    const clickId = click_id ?? event_id ?? placeId;
    const fields = {
      clickId,
      eventId: event_id ?? clickId,
      adId: ad_id,
      clickedAt: clicked_at,
      country: country ?? 'ZZ',
    };
    const { user_id: userId, ip, user_agent: userAgent, facts: letters = '' } = person;
    return { ...fields, judgedBy: { ...fields, receivedAt: 0, userId, ip, userAgent, facts: factsIn(letters) } };
  } catch {
    return undefined;
  }
}
