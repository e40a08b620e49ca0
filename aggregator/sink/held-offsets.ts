/**
 * CONTRACT: defines what a committed offset of a sink means, and decides where its leg begins to read.
 *
 * An offset means "this node holds all records before it", for one incarnation of the node's tables. So the commit
 * contains that incarnation in its metadata. An offset of another incarnation means nothing: the node was emptied since
 * then, and is filled again from the beginning of the log. The metadata also contains that beginning, because the node
 * lacks the records that the log no longer held at that time.
 */
import type { Admin } from '../../infra/kafka/admin.ts';
import type { Committed } from '../../infra/kafka/committed.ts';

/** The node holds all records in [from, to). */
export interface Held {
  readonly from: number;
  readonly to: number;
}

/** The metadata of a commit. It is empty for nodes without an incarnation, as it was before incarnations existed. */
export function heldSince(incarnation: string, from: number): string {
  return incarnation === '' && from === 0 ? '' : `${incarnation}@${from}`;
}

/** Returns undefined when nothing is known about this incarnation. */
export function heldBy(commit: Committed | undefined, incarnation: string): Held | undefined {
  if (commit === undefined) return undefined;
  const [, of = '', from = '0'] = /^(.*)@(\d+)$/.exec(commit.metadata) ?? [];
  // Other metadata was not written by a sink. For example, a consumer whose offset is no longer in the log commits one
  // without metadata.
  if (of !== incarnation || (commit.metadata !== '' && !commit.metadata.includes('@'))) return undefined;
  return { from: Number(from), to: commit.offset };
}

export interface Begin {
  readonly topic: string;
  readonly partition: number;
  /** Undefined means that reading begins at the committed offset. */
  readonly seek: number | undefined;
  /** Once this range is read, the node holds everything from this offset on. */
  readonly from: number;
}

/** Returns where a member of `group` begins to read its assigned partitions. @throws Retryable */
export async function beginsOf(
  admin: Pick<Admin, 'commits' | 'ranges'>,
  group: string,
  assigned: ReadonlyMap<string, readonly number[]>,
  incarnation: string,
): Promise<Begin[]> {
  const begins: Begin[] = [];
  for (const [topic, partitions] of assigned) {
    const commits = await admin.commits(group, topic);
    const held = partitions.map(partition => heldBy(commits.get(partition), incarnation));
    const ranges = held.includes(undefined) ? await admin.ranges(topic) : undefined;
    for (const [i, partition] of partitions.entries()) {
      const start = ranges?.get(partition)?.start ?? 0;
      const from = held[i]?.from;
      begins.push({ topic, partition, seek: from === undefined ? start : undefined, from: from ?? start });
    }
  }
  return begins;
}
