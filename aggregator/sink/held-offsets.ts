/**
 * CONTRACT: what a committed offset of a sink says, and where its leg begins to read.
 *
 * An offset says "the node has all records before this" of one life of the node's tables, so the commit bears that
 * incarnation beside it. One of another life says nothing: the node was emptied since, and is filled again from where the
 * log begins. Also beside it stands where that was: what the log no longer held then, the node does not have.
 */
import type { Admin } from '../../infra/kafka/admin.ts';
import type { Committed } from '../../infra/kafka/committed.ts';

/** All records in [from, to) are in the node. */
export interface Held {
  readonly from: number;
  readonly to: number;
}

/** Metadata of a commit. That of nodes without an incarnation is empty, as it was before there were any. */
export function heldSince(incarnation: string, from: number): string {
  return incarnation === '' && from === 0 ? '' : `${incarnation}@${from}`;
}

/** Undefined: nothing is known of this incarnation. */
export function heldBy(commit: Committed | undefined, incarnation: string): Held | undefined {
  if (commit === undefined) return undefined;
  const [, of = '', from = '0'] = /^(.*)@(\d+)$/.exec(commit.metadata) ?? [];
  // Other metadata is none of ours: what falls off the log, say, has an offset committed without any.
  if (of !== incarnation || (commit.metadata !== '' && !commit.metadata.includes('@'))) return undefined;
  return { from: Number(from), to: commit.offset };
}

export interface Begin {
  readonly topic: string;
  readonly partition: number;
  /** Undefined: at what is committed. */
  readonly seek: number | undefined;
  /** From where on the node holds all, once it is read. */
  readonly from: number;
}

/** Where a member of `group` begins with what it was assigned. @throws Retryable */
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
