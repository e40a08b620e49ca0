/**
 * CONTRACT: holds the erasures that one process knows, as topic `erasures` has them (erasure-record.ts), and finds what is
 * kept in place of a user id.
 */
import { type ErasurePart, erasedUntil, formOf, tokenOf } from './erasure-record.ts';

/** A text that is erased, by its hash. */
export interface ErasedForm {
  readonly form: string;
  readonly token: string;
  /** That of its record, for addresses. */
  readonly secret: string;
  /** Epoch ms. What was clicked before is erased. */
  readonly until: number;
}

/** All forms of one request together. */
export interface Erasure {
  readonly id: string;
  /** Of its last part, epoch ms. */
  readonly at: number;
  readonly persons: number;
  /** Names of its parts, as `<id>/<part>`. */
  readonly parts: readonly string[];
  /** Whether the text is one of those that are erased by it. */
  readonly names: (text: string) => boolean;
  /** False while parts are missing: whoever asked has got an error, and has to ask again. */
  readonly isWhole: boolean;
}

/**
 * What topic `erasures` may hold, by `ErasureBook.size`. Each process that knows so much takes some 360 MB of memory for it
 * (measured: 360 bytes for each text and for each part, whether they are in many parts or in few). A book with more is
 * no damage, and is read on: what is in the log has to be erased.
 */
export const mostErasedForms = 1_000_000;

export class ErasureBook {
  readonly #parts = new Map<string, ErasurePart>();
  /** The erasures of one text, in the order of the log. */
  readonly #byForm = new Map<string, ErasedForm[]>();
  #newestUntil = Number.NEGATIVE_INFINITY;
  #size = 0;

  /** A part that was read before changes nothing. */
  take(part: ErasurePart): void {
    const name = `${part.id}/${part.part}`;
    if (this.#parts.has(name)) return;
    this.#parts.set(name, part);
    this.#size += part.forms.length + 1;
    for (const form of part.forms) {
      const erased = erasedForm(part, form);
      const before = this.#byForm.get(form);
      if (before === undefined) this.#byForm.set(form, [erased]);
      else before.push(erased);
    }
    this.#newestUntil = Math.max(this.#newestUntil, erasedUntil(part.at));
  }

  /** Grows with every part. Rows that were made of lines at an earlier number have to be made again. */
  get version(): number {
    return this.#parts.size;
  }

  /** Nothing that was clicked at this time (epoch ms) or later is erased. -Infinity: there are no erasures. */
  get newestUntil(): number {
    return this.#newestUntil;
  }

  /**
   * How much there is: each text of each part, and each part as one more. A text that is erased again counts again, as it is
   * kept again.
   */
  get size(): number {
    return this.#size;
  }

  /** Returns what is kept in place of a user id of a click of that time (epoch ms), or undefined if it is not erased. */
  erasedFor(userId: string | Uint8Array, clickedAt: number): ErasedForm | undefined {
    return this.#byForm.get(formOf(userId))?.find(({ until }) => clickedAt < until);
  }

  /** The names of all parts, in the order of the log. */
  get names(): readonly string[] {
    return [...this.#parts.keys()];
  }

  /**
   * Of the named parts, in the order of the log, and all other erasures of the same texts: a row that an earlier one
   * covers has to get its token, as `erasedFor` says, also when it is found for a later one.
   */
  formsOf(names: ReadonlySet<string>): readonly ErasedForm[] {
    const wanted = new Set([...this.#parts].flatMap(([name, { forms }]) => (names.has(name) ? forms : [])));
    return [...this.#parts.values()].flatMap(part =>
      part.forms.filter(form => wanted.has(form)).map(form => erasedForm(part, form)),
    );
  }

  /** Returns when a part was asked for, in epoch ms. */
  atOf(name: string): number {
    return this.#parts.get(name)?.at ?? 0;
  }

  get(id: string): Erasure | undefined {
    const parts = [...this.#parts].filter(([, part]) => part.id === id);
    const first = parts[0]?.[1];
    if (first === undefined) return undefined;
    const secrets = new Set(parts.map(([, { secret }]) => secret));
    return {
      id,
      at: Math.max(...parts.map(([, { at }]) => at)),
      persons: first.persons,
      parts: parts.map(([name]) => name),
      names: text => this.#byForm.get(formOf(text))?.some(({ secret }) => secrets.has(secret)) === true,
      isWhole: parts.length === first.parts,
    };
  }
}

function erasedForm({ secret, at }: ErasurePart, form: string): ErasedForm {
  return { form, token: tokenOf(secret, form), secret, until: erasedUntil(at) };
}
