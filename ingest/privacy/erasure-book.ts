/**
 * CONTRACT: holds the erasures that one process knows, as topic `erasures` has them (erasure-record.ts), and finds what is
 * kept in place of a user id.
 */
import { type Dated, type ErasurePart, formOf, isBefore, tokenOf } from './erasure-record.ts';

/** A text that is erased, by its hash. */
export interface ErasedForm {
  readonly form: string;
  readonly token: string;
  /** That of its record, for addresses. */
  readonly secret: string;
  /** Epoch ms. What is from before is erased. */
  readonly at: number;
}

/** All forms of one request together. */
export interface Erasure {
  readonly id: string;
  /** Of its last part, epoch ms. */
  readonly at: number;
  readonly persons: number;
  /** Names of its parts, as `<id>/<part>`. */
  readonly parts: readonly string[];
  /** False while parts are missing: whoever asked has got an error, and has to ask again. */
  readonly isWhole: boolean;
}

/** What topic `erasures` may hold, of which each process that knows it takes some 200 MB of memory. */
export const mostErasedForms = 1_000_000;

export class ErasureBook {
  readonly #parts = new Map<string, ErasurePart>();
  /** The erasures of one text, in the order of the log. */
  readonly #byForm = new Map<string, ErasedForm[]>();
  #newestAt = Number.NEGATIVE_INFINITY;

  /** A part that was read before changes nothing. */
  take(part: ErasurePart): void {
    const name = `${part.id}/${part.part}`;
    if (this.#parts.has(name)) return;
    this.#parts.set(name, part);
    for (const form of part.forms) {
      const erased: ErasedForm = { form, token: tokenOf(part.secret, form), secret: part.secret, at: part.at };
      const before = this.#byForm.get(form);
      if (before === undefined) this.#byForm.set(form, [erased]);
      else before.push(erased);
    }
    this.#newestAt = Math.max(this.#newestAt, part.at);
  }

  /** Grows with every part. Rows that were made of lines at an earlier number have to be made again. */
  get version(): number {
    return this.#parts.size;
  }

  /** Nothing that is from after this time (epoch ms) is erased. -Infinity: there are no erasures. */
  get newestAt(): number {
    return this.#newestAt;
  }

  get forms(): number {
    return this.#byForm.size;
  }

  /** Returns what is kept in place of a user id of a click of that time, or undefined if it is not erased. */
  erasedFor(userId: string | Uint8Array, of: Dated): ErasedForm | undefined {
    return this.#byForm.get(formOf(userId))?.find(({ at }) => isBefore(of, at));
  }

  /** The names of all parts, in the order of the log. */
  get names(): readonly string[] {
    return [...this.#parts.keys()];
  }

  /** Of the named parts, in the order of the log. */
  formsOf(names: ReadonlySet<string>): readonly ErasedForm[] {
    return [...this.#parts]
      .filter(([name]) => names.has(name))
      .flatMap(([, { forms, secret, at }]) => forms.map(form => ({ form, token: tokenOf(secret, form), secret, at })));
  }

  /** Returns when a part was asked for, in epoch ms. */
  atOf(name: string): number {
    return this.#parts.get(name)?.at ?? 0;
  }

  get(id: string): Erasure | undefined {
    const parts = [...this.#parts].filter(([, part]) => part.id === id);
    const first = parts[0]?.[1];
    if (first === undefined) return undefined;
    return {
      id,
      at: Math.max(...parts.map(([, { at }]) => at)),
      persons: first.persons,
      parts: parts.map(([name]) => name),
      isWhole: parts.length === first.parts,
    };
  }
}
