/** Says how far the clock of another machine is ahead of ours, by a time that it has told between our question and its answer. */

/** By the clock of this process (epoch ms). */
export interface Asked {
  readonly sentAt: number;
  readonly answeredAt: number;
}

/** Only what lies outside of question and answer is a difference: how long the answer has taken is none. */
export function aheadMs(told: number, { sentAt, answeredAt }: Asked): number {
  if (told < sentAt) return told - sentAt;
  return Math.max(0, told - answeredAt);
}
