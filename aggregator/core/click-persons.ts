/**
 * Says of each click of a group what rules judge it by: its facts, and hashes of its address and of its person at this
 * address (ingest/validity/rules.ts). Nothing is computed for minutes without rules.
 *
 * Both hashes have 96 bits. The first word contains the hash of the click's cell, so that the places of one person in
 * several cells are not the same. The table of a window makes the cell itself part of the key (window-validity.ts).
 */
import { isFuture } from '../../ingest/click.ts';
import type { RecordReader } from '../../ingest/record-reader.ts';
import type { RulesAt } from '../../ingest/validity/rules.ts';
import { hashClick, type IdBytes, type IdKey } from './id-hash.ts';
import { windowMs, windowStartOf } from './time.ts';

export class ClickPersons {
  readonly facts: Uint8Array;
  /** What the click has: `hasPerson`, `hasAddress`, `hasUser`. */
  readonly who: Uint8Array;
  /** Three words for each click, of its person at its address. */
  readonly persons: Int32Array;
  /** Three words for each click, of its address. */
  readonly addresses: Int32Array;
  readonly #rulesAt: RulesAt;
  readonly #idKey: IdKey;
  readonly #texts: Texts = { view: noView, adIdStart: 0, adIdEnd: 0, eventIdStart: 0, eventIdEnd: 0 };
  readonly #hash = new Int32Array(4);
  /** The minute of the last click, and what its rules look at. */
  #minute = Number.NaN;
  #hasRules = false;
  #hasCaps = false;

  constructor(mostClicks: number, rulesAt: RulesAt, idKey: IdKey) {
    this.facts = new Uint8Array(mostClicks);
    this.who = new Uint8Array(mostClicks);
    this.persons = new Int32Array(3 * mostClicks);
    this.addresses = new Int32Array(3 * mostClicks);
    this.#rulesAt = rulesAt;
    this.#idKey = idKey;
  }

  /** Takes the click at which `reader` is as click `i`. */
  add(i: number, reader: RecordReader, cellHash: number, appendedAt: number): void {
    const { clickedAt } = reader;
    if (!(clickedAt >= this.#minute && clickedAt < this.#minute + windowMs)) {
      // Such a click is never counted, and the rules of its minute may not be known.
      if (isFuture(clickedAt, appendedAt)) return;
      this.#enter(windowStartOf(clickedAt));
    }
    if (!this.#hasRules) return;
    this.facts[i] = reader.facts;
    if (this.#hasCaps) this.#addPerson(i, reader, cellHash);
  }

  /** Makes click `i` one of another cell. `difference` is the exclusive or of the hashes of both cells. */
  moveTo(i: number, difference: number): void {
    this.persons[3 * i]! ^= difference;
    this.addresses[3 * i]! ^= difference;
  }

  #enter(minute: number): void {
    const { version, rules } = this.#rulesAt(minute);
    this.#minute = minute;
    this.#hasRules = version > 0;
    this.#hasCaps = rules.double_click_seconds + rules.user_clicks_per_minute + rules.address_clicks_per_minute > 0;
  }

  #addPerson(i: number, reader: RecordReader, cellHash: number): void {
    const { ipStart, ipEnd, userIdStart, userIdEnd, userAgentStart, userAgentEnd } = reader;
    const texts = this.#texts;
    texts.view = reader.view;
    let who = ipEnd > 0 ? hasAddress : 0;
    let kind = 0;
    // The first text is the address, if there is one. The second is the person, if there is one.
    let start = ipStart;
    let end = ipEnd;
    if (userIdEnd > 0) {
      who |= hasPerson | hasUser;
      kind = ipEnd > 0 ? ofUser : ofUserAlone;
      start = userIdStart;
      end = userIdEnd;
    } else if (ipEnd > 0 && userAgentEnd > 0) {
      who |= hasPerson;
      kind = ofUserAgent;
      start = userAgentStart;
      end = userAgentEnd;
    }
    this.who[i] = who;
    if (who === 0) return;
    texts.adIdStart = ipEnd > 0 ? ipStart : start;
    texts.adIdEnd = ipEnd > 0 ? ipEnd : end;
    texts.eventIdStart = start;
    texts.eventIdEnd = end;
    const { persons, addresses } = this;
    const at = 3 * i;
    hashClick(texts, true, this.#idKey, this.#hash, 0, addresses, at);
    addresses[at]! ^= cellHash;
    // `kind` keeps an id apart from a user agent that has the same text.
    persons[at] = this.#hash[0]! ^ cellHash;
    persons[at + 1] = this.#hash[1]! ^ kind;
    persons[at + 2] = this.#hash[2]!;
  }
}

/** Bits of `who`. A click with a user id has a person. */
export const hasPerson = 1;
export const hasAddress = 2;
export const hasUser = 4;

type Texts = { -readonly [field in keyof IdBytes]: IdBytes[field] };

const noView = new DataView(new ArrayBuffer(0));
const ofUser = 0x3c6ef372;
const ofUserAlone = 0x510e527f;
const ofUserAgent = 0x1f83d9ab;
