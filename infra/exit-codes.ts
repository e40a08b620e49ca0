/** How a process of ours ends: 0 asked to stop, and drained · 78 (EX_CONFIG) what the user configured cannot work · 1 anything else. */
export const exitCodes = { ok: 0, failure: 1, config: 78 } as const;
