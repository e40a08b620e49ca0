/**
 * CONTRACT: whether topics agree with what is recorded of their partitions. Pure.
 *
 * Fewer than recorded (a topic was made anew, or the record belongs to another cluster): nothing may be routed, for
 * clicks would go to partitions that nobody has. More than recorded: a growth that is under way or was left half done,
 * or somebody's tool. That harms nobody, as long as everybody goes by the record: what is routed by it lies where its
 * copies lie, and partitions beyond hold nothing. To refuse clicks for it would make every growth an outage.
 */
import type { TopicName } from '../../infra/topics.ts';

/** In the order in which they grow: who is given a new partition of `clicks` must find where to write. */
export const countedTopics = ['quarantine', 'aggregates', 'clicks'] as const satisfies readonly TopicName[];

export type TopicCounts = ReadonlyMap<(typeof countedTopics)[number], number>;

/** Why nothing may be routed or counted; undefined: nothing is in the way. `recorded` undefined: nothing is. */
export function differenceOf(counts: TopicCounts, recorded: number | undefined): string | undefined {
  const found = countedTopics.map(topic => `${topic} has ${counts.get(topic) ?? 0}`).join(', ');
  if (recorded === undefined) {
    if (new Set(countedTopics.map(topic => counts.get(topic))).size === 1) return undefined;
    return (
      `partitions: ${found}, nothing is recorded, and by which number clicks were routed cannot be told. ` +
      'If by that of clicks, as in earlier releases, give the others as many (kafka-topics.sh --alter --partitions)'
    );
  }
  if (countedTopics.every(topic => (counts.get(topic) ?? 0) >= recorded)) return undefined;
  return `partitions: ${found}, but ${recorded} are recorded in topic hot-ads: \`adclicks partitions --to ${recorded}\` adds what is missing`;
}

/** What is more than recorded, and what to do; undefined: nothing. */
export function surplusOf(counts: TopicCounts, recorded: number | undefined): string | undefined {
  const most = Math.max(...countedTopics.map(topic => counts.get(topic) ?? 0));
  if (recorded === undefined || most <= recorded) return undefined;
  const found = countedTopics.map(topic => `${topic} has ${counts.get(topic) ?? 0}`).join(', ');
  return `partitions: ${found}, ${recorded} are recorded and used: \`adclicks partitions --to ${most}\` takes the others into use`;
}
