/** Says by which request a replay that was a dry run is applied: the same minutes, by the same rules. */

/** @import { Replay } from '../api-types.ts' */

/**
 * Returns undefined for what cannot be applied: a job that is not done or was applied, and rules that nobody has announced.
 * @param {Pick<Replay, 'state' | 'apply' | 'from' | 'to' | 'rules_effect'>} job
 */
export function requestToApply({ state, apply, from, to, rules_effect: effect }) {
  if (state !== 'done' || apply) return undefined;
  if (effect === null) return { from, to, apply: true };
  return effect.rules === null ? undefined : { from, to, apply: true, rules: effect.rules };
}
