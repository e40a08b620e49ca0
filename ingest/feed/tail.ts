/**
 * Reads one file from a place on, and again and again while it may grow: content becomes lines, and lines become
 * entries. For each entry it can say where the entry ends, in a form that finds this content again, whatever its file
 * is called later.
 */
import { ConfigError } from '../../infra/errors.ts';
import { type Content, openContent } from './content.ts';
import { type Entry, entryOf, type Format } from './format.ts';
import { type Line, LineSplitter } from './line.ts';
import { digestOf, type Point } from './resume-point.ts';
import type { RowIds } from './row-ids.ts';

export interface TailOptions {
  readonly path: string;
  /** Undefined means the beginning. */
  readonly from: Point | undefined;
  readonly stop: AbortSignal;
  /** The header of the file that this one continues. */
  readonly header: string | undefined;
  /** Is called with the first line that is not blank. */
  readonly openFormat: OpenFormat;
  /** The ids of one continuous content. Files that follow one another share them. */
  readonly ids: RowIds;
  /** Whether rows before the point are in the ids already. */
  readonly areCounted: boolean;
}

/** `isInMiddle` means that the line may be any line of a file whose format is known. */
export type OpenFormat = (line: string, header: string | undefined, isInMiddle: boolean) => Format;

/** An entry, and the header with which it was read. */
export interface TailEntry {
  readonly entry: Entry;
  readonly header: string | undefined;
}

const digestedBytes = 4_096;

export class Tail implements AsyncDisposable {
  readonly path: string;
  readonly content: Content;
  readonly beginning: Point;
  readonly ids: RowIds;
  /** Another file has the name now. */
  isReplaced = false;
  /** What is at its end is left for another run. */
  isLeft = false;
  /** Why nothing more can be read: the file is packed, and damaged. */
  problem: string | undefined;
  /** When something was last read. */
  readMs = Date.now();
  readonly #options: TailOptions;
  readonly #splitter: LineSplitter;
  #format: Format | undefined;
  #head: Buffer;
  #last: TailEntry | undefined;

  private constructor(options: TailOptions, content: Content, place: Point) {
    const { path, from } = options;
    this.path = path;
    this.content = content;
    this.beginning = from ?? place;
    this.ids = options.ids;
    this.#options = options;
    this.#splitter = new LineSplitter(place);
    this.#head = Buffer.alloc(0);
  }

  static async open(options: TailOptions): Promise<Tail> {
    const { path, from, stop } = options;
    // Reading starts at the beginning also when ids depend on what came before, or when there is too little to
    // recognize the file by.
    const isInMiddle =
      from !== undefined && from.offset >= digestedBytes && (from.madeIds !== true || options.areCounted);
    const place: Point = isInMiddle ? from : { offset: 0, line: 0, head: { start: 0, bytes: 0, digest: '' } };
    return new Tail(options, await openContent(path, place.offset, stop), place);
  }

  get header(): string | undefined {
    return this.#format ? this.#format.header : (this.#options.from?.header ?? this.#options.header);
  }

  /** The place behind the last entry that was read. */
  get point(): Point {
    return this.#last ? this.pointAfter(this.#last) : this.beginning;
  }

  pointAfter({ entry: { last }, header }: TailEntry): Point {
    const bytes = last.bytes.subarray(0, digestedBytes);
    const head = this.#head.subarray(0, last.end);
    return {
      offset: last.end,
      line: last.number,
      head: this.#head.length > 0 ? { start: 0, bytes: head.length, digest: digestOf(head) } : this.beginning.head,
      last: { start: last.bytesAt, bytes: bytes.length, digest: digestOf(bytes) },
      encoding: this.#splitter.encoding,
      ...(header === undefined ? {} : { header }),
    };
  }

  async read(): Promise<TailEntry[] | 'rewritten' | undefined> {
    const piece = await this.#piece();
    if (piece === undefined || piece === 'rewritten') return piece;
    this.readMs = Date.now();
    const { offset } = this.#splitter.place;
    if (offset === 0 || this.#head.length > 0)
      if (this.#head.length < digestedBytes)
        this.#head = Buffer.concat([this.#head, piece.subarray(0, digestedBytes - this.#head.length)]);
    return [...this.#splitter.push(piece)].flatMap(line => this.#entriesOf(line));
  }

  /** Whether the end of the file is not the end of a row: its line has no newline, or its record continues. */
  get hasRest(): boolean {
    return this.#splitter.rest() !== undefined || !this.isSettled;
  }

  /** Whether every line that was read is part of an entry. */
  get isSettled(): boolean {
    return this.#splitter.place.offset <= (this.#last?.entry.last.end ?? this.beginning.offset);
  }

  /** Everything before this place is in entries, or should be. */
  get readTo(): number {
    return this.isLeft ? this.point.offset : this.#splitter.place.offset;
  }

  /** Takes the rest as it is. `if-whole`: only if its text shows that nothing is missing. `problem`: as a reject. */
  rest(how: 'taken' | 'if-whole' | { readonly problem: string }): TailEntry[] {
    const rest = this.#splitter.rest(this.problem !== undefined);
    if (how === 'if-whole') return rest && this.#formatFor(rest)?.isWhole(rest.text) ? this.#entriesOf(rest) : [];
    const last = rest ? this.#entriesOf(typeof how === 'object' ? { ...rest, ...how } : rest) : [];
    return [...last, ...this.#advanced(this.#format?.flush() ?? [])];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.content[Symbol.asyncDispose]();
  }

  async #piece(): Promise<Buffer | 'rewritten' | undefined> {
    try {
      return this.problem === undefined ? await this.content.read() : undefined;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.problem = error.message;
      return undefined;
    }
  }

  #formatFor({ text }: Line): Format | undefined {
    const { openFormat, from, header } = this.#options;
    if (this.#format === undefined && text.trim() !== '')
      this.#format = openFormat(text, from?.header ?? header, from !== undefined && from.offset > 0);
    return this.#format;
  }

  #entriesOf(line: Line): TailEntry[] {
    return this.#advanced(this.#formatFor(line)?.read(line) ?? [entryOf([line], () => undefined)]);
  }

  /** Returns the entries without those before the point, which are read again only to recognize the file. */
  #advanced(entries: readonly Entry[]): TailEntry[] {
    const header = this.#format?.header;
    return entries.flatMap(entry => {
      if (entry.last.isEnded) this.#last = { entry, header };
      if (!entry.last.isEnded || entry.last.end > this.beginning.offset) return [{ entry, header }];
      if (entry.row && !this.#options.areCounted) this.ids.idOf(entry.text);
      return [];
    });
  }
}
