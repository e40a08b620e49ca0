/**
 * Checks the law of feeding: accepted + rejected + skipped = rows, and no line is left out.
 *
 * Rows are counted as the format found them, and their outcomes as ingest and the rules reported them. That no line is
 * left out is checked by bytes: each entry begins where the one before it in its file has ended. A run that breaks this
 * law says so and fails.
 */
import type { Entry } from './format.ts';

export type Outcome =
  | { readonly kind: 'accepted' | 'none' }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'skipped'; readonly rule: string };

export class FeedBooks {
  rows = 0;
  rejected = 0;
  readonly #skipped = new Map<string, number>();
  /** As counted by ingest. */
  #accepted = 0;
  readonly #gaps: string[] = [];
  readonly #ends = new Map<object, { readonly offset: number; readonly line: number }>();

  get accepted(): number {
    return this.#accepted;
  }

  open(file: object, at: { readonly offset: number; readonly line: number }): void {
    this.#ends.set(file, { offset: at.offset, line: at.line });
  }

  accept(count: number): void {
    this.#accepted += count;
  }

  enter(file: object, { first, last, row }: Entry, outcome: Outcome): void {
    const { offset, line } = this.#ends.get(file) ?? { offset: -1, line: -1 };
    if (first.start !== offset || first.number !== line + 1)
      this.#gaps.push(`line ${first.number} was read after line ${line}`);
    // An entry without an end may be read again.
    if (last.isEnded) this.#ends.set(file, { offset: last.end, line: last.number });
    if (row) this.rows++;
    if (outcome.kind === 'rejected') this.rejected++;
    if (outcome.kind === 'skipped') this.#skipped.set(outcome.rule, (this.#skipped.get(outcome.rule) ?? 0) + 1);
  }

  /** Everything that was read of the file has been entered. */
  close(file: object, readTo: number): void {
    const { offset } = this.#ends.get(file) ?? { offset: -1 };
    if (offset !== readTo) this.#gaps.push(`${readTo - offset} bytes were read but belong to no row`);
  }

  skippedBy(rule: string): number {
    return this.#skipped.get(rule) ?? 0;
  }

  /** `8 rows = 6 accepted + 1 rejected + 1 skipped (1 by --status)` */
  toString(): string {
    const rules = [...this.#skipped]
      .map(([rule, count]) => `${count} ${rule.startsWith('--') ? 'by ' : ''}${rule}`)
      .join(', ');
    const skipped = this.#skippedTotal > 0 ? ` + ${this.#skippedTotal} skipped (${rules})` : '';
    return `${this.rows} ${this.rows === 1 ? 'row' : 'rows'} = ${this.#accepted} accepted + ${this.rejected} rejected${skipped}`;
  }

  /** Undefined when the law holds. */
  get fault(): string | undefined {
    const sum = this.#accepted + this.rejected + this.#skippedTotal;
    if (sum !== this.rows) return `${this.rows} rows were read, but ${sum} have an outcome`;
    return this.#gaps[0];
  }

  get #skippedTotal(): number {
    return this.#skipped.values().reduce((sum, count) => sum + count, 0);
  }
}
