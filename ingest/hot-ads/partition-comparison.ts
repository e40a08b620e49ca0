/**
 * CONTRACT: compares, as a pure function, the partitions of topics with the recorded number.
 *
 * When there are fewer than recorded (a topic was created again, or the record belongs to another cluster), nothing may
 * be routed, because clicks would go to partitions that do not exist. When there are more than recorded, a growth is in
 * progress or was left half done, or somebody used a tool. That harms nobody as long as everybody follows the record:
 * clicks and their copies are routed to the same place, and the extra partitions hold nothing. Refusing clicks in that
 * case would make every growth an outage.
 */
import type { TopicName } from '../../infra/topics.ts';

/** In the order in which they grow: the owner of a new partition of `clicks` must find where to write. */
export const countedTopics = ['quarantine', 'aggregates', 'clicks'] as const satisfies readonly TopicName[];

export type TopicCounts = ReadonlyMap<(typeof countedTopics)[number], number>;

/** Returns why nothing may be routed or counted, or undefined. `recorded` is undefined when no number is recorded. */
export function differenceOf(counts: TopicCounts, recorded: number | undefined): string | undefined {
  const found = countedTopics.map(topic => `${topic} has ${counts.get(topic) ?? 0}`).join(', ');
  if (recorded === undefined) {
    if (new Set(countedTopics.map(topic => counts.get(topic))).size === 1) return undefined;
    return (
      `partitions: ${found}, no number is recorded, so it is unknown by which number clicks were routed. ` +
      'If it was the number of topic clicks, as in earlier releases, give the other topics as many partitions (kafka-topics.sh --alter --partitions)'
    );
  }
  if (countedTopics.every(topic => (counts.get(topic) ?? 0) >= recorded)) return undefined;
  return `partitions: ${found}, but ${recorded} are recorded in topic hot-ads: \`adclicks partitions --to ${recorded}\` adds the missing partitions`;
}

/** Returns which topics have more than recorded, and what to do, or undefined. */
export function surplusOf(counts: TopicCounts, recorded: number | undefined): string | undefined {
  const most = Math.max(...countedTopics.map(topic => counts.get(topic) ?? 0));
  if (recorded === undefined || most <= recorded) return undefined;
  const found = countedTopics.map(topic => `${topic} has ${counts.get(topic) ?? 0}`).join(', ');
  return `partitions: ${found}, but only ${recorded} are recorded and used: \`adclicks partitions --to ${most}\` starts to use the others`;
}
