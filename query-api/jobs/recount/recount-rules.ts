/**
 * Decides by which rules the minutes of a recount are judged: by those of their stated rows, so that a late click or a
 * repair never changes what was invalid by other rules. A minute of which nothing is stated takes the announced ones.
 * Only a replay may name others.
 */
import type { RulesFrom } from '../../../aggregator/replay/recount-thread.ts';
import { Retryable } from '../../../infra/errors.ts';
import { noRules, type RuleSet, type RulesAt } from '../../../ingest/validity/rules.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';

export interface RecountRules {
  /** The announced rules of each minute. */
  readonly rulesAt: RulesAt;
  /** Returns undefined for a version that this process has not heard of. */
  readonly setOf: (version: number) => RuleSet | undefined;
  /** Judges all minutes, whatever their rows say. */
  readonly instead?: RuleSet;
}

/** Of a pipeline to which nobody has announced rules. */
export const noneAnnounced: RecountRules = { rulesAt: () => noRules, setOf: () => undefined };

/**
 * `stated` are the versions of the minutes that have rows, in the order of time. @throws Retryable when the rules of a
 * minute are not known here yet
 */
export function rulesOfRange(
  { from, to }: TimeRange,
  stated: readonly { readonly minute: number; readonly rules: number }[],
  { rulesAt, setOf, instead }: RecountRules,
): RulesFrom[] {
  if (instead !== undefined) return [{ from, set: instead }];
  const versions = new Map(stated.map(({ minute, rules }) => [minute, rules]));
  const known = (minute: number): RuleSet => {
    const version = versions.get(minute);
    if (version === undefined) return rulesAt(minute);
    const set = version === 0 ? noRules : setOf(version);
    if (set === undefined)
      throw new Retryable(
        `version ${version} of the rules, by which minute ${minute} was counted, is not known here yet`,
      );
    return set;
  };
  const rules: RulesFrom[] = [];
  for (let minute = from; minute < to; minute += minuteMs) {
    const set = known(minute);
    if (rules.at(-1)?.set.version !== set.version) rules.push({ from: minute, set });
  }
  return rules;
}
