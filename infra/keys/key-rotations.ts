/**
 * Decides which secrets a key has after its rotations. Pure, and without a clock.
 *
 * The newest by the time of its change is in force, and the one before it until the time that its successor has set;
 * older ones are not, even if an overlap for them has not ended. A rotation says which secret it replaces. Of two that
 * replace the same one, which two processes have decided at once, the one that was read first holds, and the other is
 * void: otherwise the promise would be broken that the replaced secret goes on for the overlap. Who has written a void
 * rotation marks it as void (key-record.ts), which holds whatever compaction makes of the order. A rotation of an older
 * release does not say what it replaces, and is never void.
 */
import type { KeyChange } from './key-record.ts';

export type Rotated = Extract<KeyChange, { readonly kind: 'rotated' }>;
type Created = Extract<KeyChange, { readonly kind: 'created' }>;

/** What the first rotation of a key replaces. */
export const firstSecret = 'created';

export class KeyRotations {
  /** In the order in which they were read first. */
  readonly #read = new Map<string, Rotated>();

  take(change: Rotated): void {
    if (this.#read.get(change.change)?.void) return;
    this.#read.set(change.change, change);
    if (this.#read.size <= mostKept) return;
    // It is far from the newest two, however often it is read.
    const [oldest] = [...this.#read.values()].sort((a, b) => a.at - b.at);
    if (oldest) this.#read.delete(oldest.change);
  }

  /** Undefined: it was not read. */
  isVoid({ change }: Rotated): boolean | undefined {
    return this.#read.has(change) ? !this.#holding().some(each => each.change === change) : undefined;
  }

  /** The two newest changes that brought a secret, the newest first. */
  secrets(created: Created): readonly (Created | Rotated)[] {
    // A rotation comes after the creation, whatever the clocks of those who wrote them said.
    const newest = this.#holding().sort((a, b) => b.at - a.at || (a.change > b.change ? -1 : 1));
    return [...newest.slice(0, secretsInForce), created].slice(0, secretsInForce);
  }

  #holding(): Rotated[] {
    const replaced = new Set<string>();
    return [...this.#read.values()].filter(({ void: isMarked, replaces }) => {
      if (isMarked || (replaces !== undefined && replaced.has(replaces))) return false;
      if (replaces !== undefined) replaced.add(replaces);
      return true;
    });
  }
}

const secretsInForce = 2;
const mostKept = 64;
