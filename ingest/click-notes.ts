/**
 * Collects remarks on a request's clicks, apart from rejections: fields that no click has, which are ignored, and
 * fields that were left out because they break a rule.
 *
 * Both are reported once for the whole request and within limits, because an answer must not be many times as long as
 * what was posted. A request of plain clicks (`plain-click.ts`) has no remarks, and costs nothing here.
 */
import { type OptionalField, optionalFields, unknownFieldsOf, type Verdict } from './click-body.ts';

export interface Warning {
  readonly field: OptionalField;
  /** The number of clicks that lost this field. */
  readonly clicks: number;
  /** The index of the first of them, as in `Rejected`, and what is wrong with it. */
  readonly index: number;
  readonly message: string;
}

/** This many names are reported, with at most this many characters of each. */
export const maxFieldsTold = 20;
export const maxNameLength = 64;

export class ClickNotes {
  readonly #ignored = new Set<string>();
  readonly #warnings = new Map<OptionalField, Warning>();

  clear(): void {
    this.#ignored.clear();
    this.#warnings.clear();
  }

  /** Looks at every click, also at refused ones: the reason for `ad_id: is not given` is often `adId: is ignored`. */
  ignore(click: unknown): void {
    for (const name of unknownFieldsOf(click)) {
      if (this.#ignored.size === maxFieldsTold) return;
      this.#ignored.add(shortened(name));
    }
  }

  warn(index: number, verdict: Verdict): void {
    if (!verdict.ok) return;
    for (const { field, problem, outcome } of verdict.dropped ?? []) {
      const before = this.#warnings.get(field);
      this.#warnings.set(
        field,
        before
          ? { ...before, clicks: before.clicks + 1 }
          : { field, clicks: 1, index, message: `${problem}: ${outcome}` },
      );
    }
  }

  get ignoredFields(): readonly string[] {
    return [...this.#ignored];
  }

  get warnings(): readonly Warning[] {
    return optionalFields.flatMap(field => this.#warnings.get(field) ?? []);
  }
}

function shortened(name: string): string {
  return name.length > maxNameLength ? `${name.slice(0, maxNameLength).toWellFormed()}…` : name.toWellFormed();
}
