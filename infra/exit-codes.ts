/**
 * The exit codes of our processes: 0 for one that was asked to stop and has drained, 78 (EX_CONFIG) for a configuration
 * that cannot work, and 1 for anything else.
 */
export const exitCodes = { ok: 0, failure: 1, config: 78 } as const;
