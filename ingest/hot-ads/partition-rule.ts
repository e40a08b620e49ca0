/**
 * CONTRACT: defines over how many partitions clicks are spread, and the records of topic `hot-ads` that say so.
 *
 * A rule says: from this minute of event time on, at least this many. Of several rules that have begun, the highest
 * number holds. So order and repetition change nothing, and the number never falls. As with hot ads, the minute of the
 * event decides, and never the minute of arrival: a copy that is posted days later meets the first one, and old minutes
 * end in the partitions in which they began.
 *
 * - The **base** holds for all times before the first growth. The first ingest process that finds none writes it, with
 *   the number of partitions that topic `clicks` has then. Several may be written at once. The first in the log holds
 *   for all, and nobody routes before reading it.
 * - A **growth** holds like a rule for a hot ad: only if it is in the log `noticeMs` before it begins.
 *
 * | record | key | value | headers |
 * | --- | --- | --- | --- |
 * | base | `partitions\|0\|n\|rule_id` | `{"rule_id","from":0,"partitions"}` | `kind=tick`, `holds=partitions` |
 * | growth | `partitions\|from\|n\|rule_id` | `{"rule_id","from","partitions"}` | `kind=partitions` |
 *
 * Keys are never used twice, so compaction removes no rule, and no rule is ever given up. A release that knows neither
 * record skips the base, whose number is the one by which it routes, and stops at a growth, which it could not follow.
 */
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';

export interface PartitionRule {
  /** A ULID. */
  readonly ruleId: string;
  /** The first minute of event time, in epoch ms. It is 0 for the base. */
  readonly from: number;
  readonly partitions: number;
}

/** The highest number of partitions of one topic. */
export const mostPartitions = 1_024;

/** Returns 0 when no rule has begun. */
export function partitionsAt(rules: readonly PartitionRule[], clickedAt: number): number {
  let most = 0;
  for (const { from, partitions } of rules) if (from <= clickedAt && partitions > most) most = partitions;
  return most;
}

export function partitionRecord(rule: PartitionRule): Omit<OutgoingRecord, 'partition'> {
  const { ruleId, from, partitions } = rule;
  const value = { rule_id: ruleId, from, partitions } satisfies Static<typeof PartitionRuleValue>;
  return {
    key: `partitions|${from}|${partitions}|${ruleId}`,
    value: JSON.stringify(value),
    headers: from === 0 ? { kind: 'tick', holds: 'partitions' } : { kind: 'partitions' },
  };
}

/** Returns undefined when it is not such a rule. */
export function partitionRuleIn(json: unknown): PartitionRule | undefined {
  if (!Value.Check(PartitionRuleValue, json)) return undefined;
  const { rule_id: ruleId, from, partitions } = json;
  return { ruleId, from, partitions };
}

export const rulesOfPartitionRules = `{"rule_id","from","partitions"}, from in whole minutes of epoch ms, 1 to ${mostPartitions} partitions`;

const PartitionRuleValue = Type.Object({
  rule_id: Type.String({ pattern: '^[0-9A-Z]{26}$' }),
  from: Type.Integer({ minimum: 0, multipleOf: 60_000 }),
  partitions: Type.Integer({ minimum: 1, maximum: mostPartitions }),
});
