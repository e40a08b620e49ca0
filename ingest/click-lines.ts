/**
 * Holds the accepted clicks of one request as canonical lines (`click.ts`), one after another, each with its newline.
 *
 * Their memory is used again. The lines are valid until `clear`, and a caller that keeps any of them copies them before
 * its next await. The memory stays as large as the largest request was, which the limits on bodies and items bound.
 */
import { type Click, formatLine, quoted } from './click.ts';
import { clickIdLength } from './click-id.ts';
import type { RoutedClick } from './hot-ads/rule.ts';

/** The end of the line (behind its newline), and start and end of the ad id and of the event id with its quotes. */
const placesPerLine = 5;

export class ClickLines {
  bytes = Buffer.allocUnsafeSlow(64 << 10);
  /** The place behind the last line. */
  end = 0;
  count = 0;
  #places = new Int32Array(placesPerLine * 64);
  #clickedAt = new Float64Array(64);

  clear(): void {
    this.end = 0;
    this.count = 0;
  }

  /** Where line `i` begins. With `i` = `count`, where the last line ends. */
  startOf(i: number): number {
    return i === 0 ? 0 : this.#places[(i - 1) * placesPerLine]!;
  }

  /** What routing needs of line `i`. Valid as long as the lines are. */
  clickOf(i: number): RoutedClick {
    return new RoutedLine(this.bytes, this.#places, i * placesPerLine, this.#clickedAt[i]!);
  }

  add(click: Click): void {
    const line = `${formatLine(click)}\n`;
    // No UTF-16 code unit becomes more than three bytes.
    this.reserve(3 * line.length);
    const { end: start, bytes } = this;
    const end = start + bytes.write(line, start);
    const eventStart = start + beforeEventId.length + click.clickId.length;
    const eventEnd = eventStart + Buffer.byteLength(quoted(click.eventId));
    const adStart = eventEnd + beforeAdId.length;
    const adEnd = adStart + click.adId.length;
    this.close(end, adStart, adEnd, eventStart, eventEnd, click.clickedAt);
  }

  /** Returns the event id of line `i` if ingest has made it, which is then the click id, or undefined. */
  madeIdOf(i: number): string | undefined {
    const eventStart = this.#places[i * placesPerLine + 3]! + 1;
    const eventEnd = this.#places[i * placesPerLine + 4]! - 1;
    if (eventEnd - eventStart !== clickIdLength) return undefined;
    const clickStart = this.startOf(i) + beforeClickId.length;
    for (let at = 0; at < clickIdLength; at++)
      if (this.bytes[clickStart + at] !== this.bytes[eventStart + at]) return undefined;
    return this.bytes.toString('latin1', eventStart, eventEnd);
  }

  /** Whether the ad id of the last line begins with `prefix`, which is ASCII as ad ids are. */
  lastAdBegins(prefix: string): boolean {
    const at = (this.count - 1) * placesPerLine;
    const start = this.#places[at + 1]!;
    if (this.#places[at + 2]! - start < prefix.length) return false;
    for (let i = 0; i < prefix.length; i++) if (this.bytes[start + i] !== prefix.charCodeAt(i)) return false;
    return true;
  }

  dropLast(): void {
    this.end = this.startOf(--this.count);
  }

  /** Makes room behind the last line. `bytes` may be another array afterwards. */
  reserve(size: number): void {
    if (this.end + size <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, this.end + size));
    this.bytes.copy(larger, 0, 0, this.end);
    this.bytes = larger;
  }

  /**
   * A line has been written behind the last one, with its values at these places. Those of the event id include its
   * quotes.
   */
  close(end: number, adStart: number, adEnd: number, eventStart: number, eventEnd: number, clickedAt: number): void {
    if (this.count === this.#clickedAt.length) this.#grow();
    const places = this.#places;
    const at = this.count * placesPerLine;
    places[at] = end;
    places[at + 1] = adStart;
    places[at + 2] = adEnd;
    places[at + 3] = eventStart;
    places[at + 4] = eventEnd;
    this.#clickedAt[this.count++] = clickedAt;
    this.end = end;
  }

  #grow(): void {
    const places = new Int32Array(this.#places.length * 2);
    places.set(this.#places);
    this.#places = places;
    const clickedAt = new Float64Array(this.#clickedAt.length * 2);
    clickedAt.set(this.#clickedAt);
    this.#clickedAt = clickedAt;
  }
}

/** Creates a text only for what is asked for, because the event id seldom is. */
class RoutedLine implements RoutedClick {
  readonly adId: string;
  readonly clickedAt: number;
  readonly #bytes: Buffer;
  readonly #eventStart: number;
  readonly #eventEnd: number;

  constructor(bytes: Buffer, places: Int32Array, at: number, clickedAt: number) {
    this.adId = bytes.toString('latin1', places[at + 1], places[at + 2]);
    this.clickedAt = clickedAt;
    this.#bytes = bytes;
    this.#eventStart = places[at + 3]!;
    this.#eventEnd = places[at + 4]!;
  }

  get eventId(): string {
    return JSON.parse(this.#bytes.toString('utf8', this.#eventStart, this.#eventEnd)) as string;
  }
}

const beforeClickId = '{"click_id":"';
const beforeEventId = `${beforeClickId}","event_id":`;
const beforeAdId = ',"ad_id":"';
