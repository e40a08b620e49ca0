/** Says which part of a key's quota this process may give out. */
export interface QuotaShares {
  /** From 0 to 1. */
  shareOf(keyId: string): number;
  /** Whether there are no other processes, so that a key has what it may use at once, from the start. */
  isAlone(): boolean;
}

/** Of a process that shares with no other. */
export const wholeQuotas: QuotaShares = { shareOf: () => 1, isAlone: () => true };
