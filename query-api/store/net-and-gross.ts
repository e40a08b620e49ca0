/**
 * Pure: which clicks a number counts. `gross` are all clicks that were accepted, with their copies. `net` are distinct
 * clicks without the invalid ones, which is what is billed. So gross = duplicates + invalid + net (decision 044).
 */

export const clickKinds = ['net', 'gross'] as const;
export type ClickKind = (typeof clickKinds)[number];

/** Sums as the tables have them. */
export interface ClickSums {
  /** Distinct clicks, the invalid ones too. */
  readonly count: number;
  readonly duplicates: number;
  readonly invalid: number;
}

export function clicksOf({ count, duplicates, invalid }: ClickSums, kind: ClickKind): number {
  return kind === 'gross' ? count + duplicates : count - invalid;
}
