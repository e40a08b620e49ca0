/**
 * CONTRACT: defines the records of topic `hot-ads` that announce versions of the rules of invalid traffic (rules.ts), and which version
 * holds in which minute.
 *
 * - Every such record is a version. Its number is its place among them in the log: 1 for the first. A record that
 *   stands in the log twice, because its writer sent it again, is one version.
 * - A version without `from` is a **draft**. No minute takes it, but a replay may name it.
 * - Any other version holds from its minute on, until the minute of the version that begins next. Of several that begin
 *   in the same minute the last in the log holds. So what was announced for a minute to come can be replaced.
 * - As with all rules of the topic (hot-ads/rule.ts), a version holds only if it was in the log `noticeMs` before its
 *   minute. One that came later has a number, and no minute ever takes it.
 *
 * | record | key | value | headers |
 * | --- | --- | --- | --- |
 * | version | `validity\|rule_id` | `{"rule_id","from","rules","note","by"}` | `kind=validity-rules` |
 *
 * Keys are never used twice, so compaction removes no version, and none is ever given up: rows of counts name them. A
 * release that does not know the record stops at it, because it would count by other rules than the rest. A further
 * rule needs a further format.
 */
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import { doubleClickSteps, noRules, type RuleSet, type ValidityRules } from './rules.ts';

/** What a record announces. */
export interface AnnouncedRules {
  /** A ULID. */
  readonly ruleId: string;
  /** The first minute of event time, in epoch ms, or null for a draft. */
  readonly from: number | null;
  readonly rules: ValidityRules;
  /** Why, for people. */
  readonly note: string;
  /** Who has announced it: the id of the API key, or `without a key`. */
  readonly by: string;
}

export interface RulesVersion extends AnnouncedRules, RuleSet {
  /** By the clock of the broker, in epoch ms. */
  readonly announcedAt: number;
  /** False for a draft, and for a version that came too late. */
  readonly holds: boolean;
}

/** A log with more is taken for damaged. Whoever announces stops earlier. */
export const mostVersions = 2_000;
export const longestNote = 500;

const flag = (description: string) => Type.Boolean({ description });
const cap = (description: string) => Type.Integer({ minimum: 0, maximum: 1_000_000, description });

export const ValidityRulesSchema = Type.Object(
  {
    denied: flag('Whether clicks are invalid whose address or user agent is on the list of those that are refused.'),
    known_bot: flag('Whether clicks are invalid whose user agent names a robot.'),
    datacentre: flag('Whether clicks are invalid whose address belongs to a network of machines.'),
    prefetch: flag('Whether clicks are invalid that a program made before anybody clicked.'),
    missing_field: flag('Whether clicks are invalid that lack a field which browsers send.'),
    impossible_field: flag('Whether clicks are invalid that have a value which no click has.'),
    double_click_seconds: Type.Unsafe<number>(
      Type.Enum([...doubleClickSteps], {
        type: 'integer',
        description:
          'Of one person at one address, one click is valid in each step of this many seconds of a minute. 0: no such rule.',
      }),
    ),
    user_clicks_per_minute: cap(
      'Of one user id at one address, at most this many clicks of an ad and a country are valid in a minute. 0: no such rule.',
    ),
    address_clicks_per_minute: cap(
      'Of one address, at most this many clicks of an ad and a country are valid in a minute. 0: no such rule.',
    ),
    ad_clicks_per_minute: cap(
      'At most this many clicks of an ad and a country are valid in a minute. 0: no such rule.',
    ),
  },
  { additionalProperties: false },
);

/** Returns the version that holds in the minute (epoch ms). `versions` are in the order of the log. */
export function versionAt(versions: readonly RulesVersion[], minute: number): RuleSet {
  let latest: RulesVersion | undefined;
  for (const version of versions) {
    const { holds, from } = version;
    if (holds && from !== null && from <= minute && from >= (latest?.from ?? 0)) latest = version;
  }
  return latest ?? noRules;
}

export function ruleSetRecord({ ruleId, from, rules, note, by }: AnnouncedRules): Omit<OutgoingRecord, 'partition'> {
  const value = { rule_id: ruleId, from, rules, note, by } satisfies Static<typeof RuleSetValue>;
  return { key: `validity|${ruleId}`, value: JSON.stringify(value), headers: { kind: 'validity-rules' } };
}

/** Returns undefined when it is not such a record's value. */
export function ruleSetIn(json: unknown): AnnouncedRules | undefined {
  if (!Value.Check(RuleSetValue, json)) return undefined;
  const { rule_id: ruleId, from, rules, note, by } = json;
  return { ruleId, from, rules, note, by };
}

export const rulesOfRuleSets =
  '{"rule_id","from","rules","note","by"}, from in whole minutes of epoch ms or null, and rules with each rule once and no other';

const RuleSetValue = Type.Object({
  rule_id: Type.String({ pattern: '^[0-9A-Z]{26}$' }),
  from: Type.Union([Type.Integer({ minimum: 0, multipleOf: 60_000 }), Type.Null()]),
  rules: ValidityRulesSchema,
  note: Type.String({ maxLength: longestNote }),
  by: Type.String({ maxLength: 100 }),
});
