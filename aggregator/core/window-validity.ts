/**
 * Judges the counted clicks of one window by the rules of its minute, and counts the invalid ones by cell and reason.
 *
 * What it says of each sum does not depend on the order of the clicks, because caps lie within caps
 * (ingest/validity/rules.ts): a person's clicks use up steps of the minute, or a count; those of the steps that get
 * through use up the count of the address, and what gets through there uses up that of the cell. Each count is the
 * smaller one of its cap and of what comes to it, whoever comes first. A click that is `allowed`, and one that is
 * invalid by its facts, uses up nothing.
 *
 * Copies of one click may have different facts: a program loads a link, and then a person clicks it. A click is as good
 * as the best of its copies. It has a reason by its facts only if each copy has one, and then the one that applies first.
 * So the order of copies does not matter for their facts either. Such a click is remembered, and is judged again when a
 * better copy comes. It stays in the cell of its first copy.
 *
 * A click that was once valid stays valid, so the number of valid clicks of a cell never falls.
 */
import { facts } from '../../ingest/validity/facts.ts';
import { type InvalidReason, invalidReasons, type RuleSet, type ValidityRules } from '../../ingest/validity/rules.ts';
import { AddressCaps } from './address-caps.ts';
import { CapTable } from './cap-table.ts';
import type { CellTable } from './cell-table.ts';
import { type ClickPersons, hasAddress, hasPerson, hasUser } from './click-persons.ts';
import { isFarTooLarge } from './growth.ts';

export class WindowValidity {
  #set: RuleSet;
  readonly #visitors: CapTable;
  readonly #addresses: AddressCaps;
  /**
   * Clicks that are invalid by their facts, by the first 96 bits of their ids: `cell << reasonBits | reason`, or 0 once
   * a better copy has come.
   */
  readonly #byFacts: CapTable;
  /** Of each cell `wordsPerCell` words: all invalid clicks, those of each reason, and what the caps let through. */
  #counts = new Uint32Array(64 * wordsPerCell);
  #cells = 0;
  /** The reason that a copy has by its facts alone, by these facts: its place in `invalidReasons` plus 1, or 0. */
  readonly #reasonOf = new Uint8Array(allFacts + 1);
  #stepMs = 0;

  /** The tables will probably grow as large as those of `alike`. */
  constructor(set: RuleSet, alike?: WindowValidity) {
    this.#visitors = new CapTable(alike === undefined ? 0 : Math.ceil(1.1 * alike.#visitors.size));
    this.#addresses = new AddressCaps(alike === undefined ? undefined : alike.#addresses);
    this.#byFacts = new CapTable(alike === undefined ? 0 : Math.ceil(1.1 * alike.#byFacts.size));
    this.#set = set;
    this.begin(set);
  }

  get version(): number {
    return this.#set.version;
  }

  get byteLength(): number {
    const tables = this.#visitors.byteLength + this.#addresses.byteLength + this.#byFacts.byteLength;
    return tables + this.#counts.byteLength;
  }

  /** Whether most of the tables is empty, and they are large (spare-tables.ts). */
  get isFarTooLarge(): boolean {
    const tables = [this.#visitors, this.#byFacts];
    return tables.some(({ capacity, size }) => isFarTooLarge(capacity, size)) || this.#addresses.isFarTooLarge;
  }

  /** Forgets all clicks. The next ones are judged by `set`. */
  begin(set: RuleSet): void {
    this.#set = set;
    this.#stepMs = set.rules.double_click_seconds * 1_000;
    this.#visitors.clear();
    this.#addresses.clear();
    this.#byFacts.clear();
    this.#counts.fill(0, 0, this.#cells * wordsPerCell);
    this.#cells = 0;
    for (let bits = 0; bits <= allFacts; bits++) this.#reasonOf[bits] = reasonByFacts(bits, set.rules);
  }

  /**
   * Judges click `i`, which is counted in `cell` of the window's `cells`, and is no copy of another one. Its id is at
   * `4 * i` of `ids`. `intoMinute` is its time since the begin of the minute, in ms. Returns whether it is invalid.
   */
  judge(cells: CellTable, cell: number, clicks: ClickPersons, ids: Int32Array, i: number, intoMinute: number): boolean {
    const byFacts = this.#reasonOf[clicks.facts[i]! & allFacts]!;
    if (byFacts !== 0) this.#byFacts.set(this.#byFacts.placeOf(0, ids, 4 * i), (cell << reasonBits) | byFacts);
    const reason = byFacts || this.#reasonByCaps(cells, cell, clicks, i, intoMinute);
    if (reason === 0) return false;
    const at = this.#cellAt(cell);
    this.#counts[at]!++;
    this.#counts[at + reason]!++;
    return true;
  }

  /**
   * Judges a click once more because of its copy `i`, which itself belongs to `cell`. Returns whether the click was
   * invalid until now, and is valid.
   */
  judgeAgain(
    cells: CellTable,
    cell: number,
    clicks: ClickPersons,
    ids: Int32Array,
    i: number,
    intoMinute: number,
  ): boolean {
    if (this.#byFacts.size === 0) return false;
    const place = this.#byFacts.find(0, ids, 4 * i);
    const known = place === 0 ? 0 : this.#byFacts.get(place);
    const before = known & reasonMask;
    const byFacts = this.#reasonOf[clicks.facts[i]! & allFacts]!;
    if (byFacts >= before) return false;
    const counted = known >>> reasonBits;
    this.#byFacts.set(place, byFacts === 0 ? 0 : (counted << reasonBits) | byFacts);
    if (counted !== cell) clicks.moveTo(i, cells.hashOf(cell) ^ cells.hashOf(counted));
    const reason = byFacts || this.#reasonByCaps(cells, counted, clicks, i, intoMinute);
    const at = this.#cellAt(counted);
    this.#counts[at + before]!--;
    cells.markChanged(counted);
    if (reason === 0) this.#counts[at]!--;
    else this.#counts[at + reason]!++;
    return reason === 0;
  }

  invalidOf(cell: number): number {
    return this.#counts[cell * wordsPerCell] ?? 0;
  }

  /** `reason` is a place in `invalidReasons`. */
  invalidBy(cell: number, reason: number): number {
    return this.#counts[cell * wordsPerCell + 1 + reason] ?? 0;
  }

  prefetch({ persons, addresses }: ClickPersons, count: number): number {
    return this.#visitors.prefetch(persons, count) + this.#addresses.prefetch(addresses, count);
  }

  #reasonByCaps(
    cells: CellTable,
    cell: number,
    { facts: bits, who, persons, addresses }: ClickPersons,
    i: number,
    intoMinute: number,
  ): number {
    if ((bits[i]! & allowed) !== 0) return 0;
    const { user_clicks_per_minute, address_clicks_per_minute, ad_clicks_per_minute } = this.#set.rules;
    const has = who[i]!;
    const stepMs = this.#stepMs;
    const isCapped = (has & hasUser) !== 0 && user_clicks_per_minute > 0;
    if ((has & hasPerson) !== 0 && (stepMs > 0 || isCapped)) {
      const visitors = this.#visitors;
      const place = visitors.placeOf(cell, persons, 3 * i);
      const before = visitors.get(place);
      const step = stepMs === 0 ? 0 : 1 << (intoMinute / stepMs);
      if ((before & step) !== 0) return doubleClick;
      visitors.set(place, stepMs === 0 ? before + 1 : before | step);
      const passed = stepMs === 0 ? before : bitsIn(before);
      if (isCapped && passed >= user_clicks_per_minute) return userVelocity;
    }
    if ((has & hasAddress) !== 0 && address_clicks_per_minute > 0) {
      const isThrough = this.#addresses.letsThrough(cells, cell, addresses, 3 * i, address_clicks_per_minute);
      if (!isThrough) return addressVelocity;
    }
    if (ad_clicks_per_minute > 0) {
      const at = this.#cellAt(cell) + throughWord;
      if (this.#counts[at]! >= ad_clicks_per_minute) return adVelocity;
      this.#counts[at]!++;
    }
    return 0;
  }

  /** Returns the place of the counts of a cell, which has room from now on. */
  #cellAt(cell: number): number {
    if (cell >= this.#cells) {
      this.#cells = cell + 1;
      const needed = this.#cells * wordsPerCell;
      if (needed > this.#counts.length) {
        const counts = new Uint32Array(Math.max(needed, this.#counts.length * 2));
        counts.set(this.#counts);
        this.#counts = counts;
      }
    }
    return cell * wordsPerCell;
  }
}

const allowed = facts.allowed.bit;
const reasons = invalidReasons.length;
const throughWord = 1 + reasons;
const wordsPerCell = 2 + reasons;
/** Enough for all reasons by facts. */
const reasonBits = 3;
const reasonMask = (1 << reasonBits) - 1;
const allFacts = Object.values(facts).reduce((all, { bit }) => all | bit, 0);

const placeOf = (reason: InvalidReason) => invalidReasons.indexOf(reason) + 1;
const doubleClick = placeOf('double_click');
const userVelocity = placeOf('user_velocity');
const addressVelocity = placeOf('address_velocity');
const adVelocity = placeOf('ad_velocity');

/** The rules that look at facts alone. */
const factOf: Partial<Record<InvalidReason, number>> = {
  denied: facts.denied.bit,
  known_bot: facts.bot.bit,
  datacentre: facts.datacentre.bit,
  prefetch: facts.prefetch.bit,
  missing_field: facts.missing.bit,
  impossible_field: facts.impossible.bit,
};

/** Returns the place of the first reason plus 1, or 0. */
function reasonByFacts(bits: number, rules: ValidityRules): number {
  if ((bits & allowed) !== 0) return 0;
  return (
    1 +
    invalidReasons.findIndex(reason => {
      const fact = factOf[reason];
      return fact !== undefined && (bits & fact) !== 0 && rules[reason as keyof ValidityRules] === true;
    })
  );
}

/** The number of bits that are 1. */
function bitsIn(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
