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
  /** 1 where the click has a person, plus 2 where it has an address, plus 4 where the person is a user id. */
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

  #enter(minute: number): void {
    const { version, rules } = this.#rulesAt(minute);
    this.#minute = minute;
    this.#hasRules = version > 0;
    this.#hasCaps = rules.double_click_seconds + rules.user_clicks_per_minute + rules.address_clicks_per_minute > 0;
  }

  #addPerson(i: number, reader: RecordReader, cellHash: number): void {
    const { ipStart, ipEnd, userIdStart, userIdEnd, userAgentStart, userAgentEnd } = reader;
    const hasAddress = ipEnd > 0;
    const hasUser = userIdEnd > 0;
    this.#texts.view = reader.view;
    if (hasAddress) this.#write(this.addresses, i, cellHash, ofAddress, ipStart, ipEnd, ipStart, ipEnd);
    let hasPerson = true;
    if (hasUser && hasAddress) this.#write(this.persons, i, cellHash, ofUser, ipStart, ipEnd, userIdStart, userIdEnd);
    else if (hasUser)
      this.#write(this.persons, i, cellHash, ofUserAlone, userIdStart, userIdEnd, userIdStart, userIdEnd);
    else if (hasAddress && userAgentEnd > 0)
      this.#write(this.persons, i, cellHash, ofUserAgent, ipStart, ipEnd, userAgentStart, userAgentEnd);
    else hasPerson = false;
    this.who[i] = (hasPerson ? 1 : 0) | (hasAddress ? 2 : 0) | (hasUser ? 4 : 0);
  }

  /** Writes the hash of two texts. `kind` keeps an id apart from a user agent that has the same text. */
  #write(
    into: Int32Array,
    i: number,
    cellHash: number,
    kind: number,
    start: number,
    end: number,
    otherStart: number,
    otherEnd: number,
  ): void {
    const texts = this.#texts;
    texts.adIdStart = start;
    texts.adIdEnd = end;
    texts.eventIdStart = otherStart;
    texts.eventIdEnd = otherEnd;
    const hash = this.#hash;
    hashClick(texts, true, this.#idKey, hash);
    into[3 * i] = hash[0]! ^ cellHash;
    into[3 * i + 1] = hash[1]! ^ kind;
    into[3 * i + 2] = hash[2]!;
  }
}

type Texts = { -readonly [field in keyof IdBytes]: IdBytes[field] };

const noView = new DataView(new ArrayBuffer(0));
const ofAddress = 0;
const ofUser = 0x3c6ef372;
const ofUserAlone = 0x510e527f;
const ofUserAgent = 0x1f83d9ab;
