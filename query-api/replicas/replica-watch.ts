/** Looks every second whether each ClickHouse node of a shard answers, and how far it is. */

import { askedBy } from '../../infra/asking.ts';
import { incarnationOf } from '../../infra/clickhouse/incarnation.ts';
import { type InShards, oneShard } from '../../infra/clickhouse/topology.ts';
import { messageOf, Retryable } from '../../infra/errors.ts';
import { inTime } from '../../infra/in-time.ts';
import type { Logger } from '../../infra/log.ts';
import { pause } from '../../infra/pause.ts';
import type { NodePosition } from '../log/counted-log.ts';
import { type Known, KnownNodes, type NodeReport, type WatchedNode } from './known-nodes.ts';
import { strayPartition } from './shard.ts';

export interface ReplicaWatch extends AsyncDisposable {
  readonly nodes: readonly WatchedNode[];
  /** Returns the node to read now. @throws NoReplica when no node may be read */
  choose(without?: ReadonlySet<string>): WatchedNode;
  /** A reader reports that the node does not answer. It is not chosen until a look finds that it does. */
  suspect(name: string, why: string): void;
  /** Resolves after the first look. */
  readonly looked: Promise<void>;
  /** Resolves after the next look. */
  nextLook(): Promise<void>;
  /** Calls `listener` when a look finds that the node has gone. Returns a function that ends this. */
  onGone(name: string, listener: (why: Error) => void): () => void;
  incarnation(name: string): string | undefined;
  reports(): readonly NodeReport[];
}

export interface ReplicaWatchDeps {
  /** The nodes of one shard. */
  readonly nodes: readonly WatchedNode[];
  /** The default is a single shard. */
  readonly shard?: InShards;
  /** While it throws, because Kafka does not answer, the last known positions are used. */
  readonly positions: () => Promise<readonly NodePosition[]>;
  readonly maxLagMs: number;
  /** Epoch ms. */
  readonly now: () => number;
  readonly log: Logger;
  readonly everyMs?: number;
}

export function watchReplicas(deps: ReplicaWatchDeps): ReplicaWatch {
  const { nodes, shard = oneShard, maxLagMs, now, log, everyMs = 1_000 } = deps;
  const known = new KnownNodes(nodes, { shard, maxLagMs, now, log });
  const closing = new AbortController();

  const measure = async () => {
    const found = await inTime(deps.positions()).catch(error =>
      log.debug({ why: messageOf(error) }, 'positions not known'),
    );
    if (found) known.measure(found.filter(({ node }) => known.get(node) !== undefined));
  };

  let next = Promise.withResolvers<void>();
  const look = async () => {
    const after = Promise.withResolvers<void>();
    await Promise.all(known.all().map(of => probe(of, shard).catch(error => known.hasGone(of, error))));
    await measure();
    known.updateStates();
    next.resolve();
    next = after;
  };

  const looked = look();
  const watch = async () => {
    await looked;
    while (!closing.signal.aborted) {
      await pause(everyMs, closing.signal);
      if (!closing.signal.aborted) await look();
    }
    next.resolve();
  };
  const watching = watch();

  return {
    nodes,
    looked,
    nextLook: () => next.promise,
    choose: (without = none) => known.choose(without),
    suspect(name, why) {
      const of = known.get(name);
      if (of === undefined) return;
      of.why ??= why;
      known.updateStates();
    },
    onGone(name, listener) {
      const listeners = known.get(name)?.listeners;
      listeners?.add(listener);
      return () => void listeners?.delete(listener);
    },
    incarnation: name => known.get(name)?.incarnation,
    reports: () => known.reports(),
    async [Symbol.asyncDispose]() {
      closing.abort();
      await watching;
    },
  };
}

const none: ReadonlySet<string> = new Set();
/** A node that does not answer for so long is away. A look that hangs also ends in the server. */
const lookMs = 2_000;

/** Asks a node who it is. @throws an error that says why it cannot be read */
async function probe(of: Known, shard: InShards): Promise<void> {
  const asker = { signal: AbortSignal.timeout(lookMs), client: '', isOperation: true };
  const wasRead = of.why === undefined;
  const asked = askedBy(asker, () => [
    incarnationOf(of.node.probe),
    // A node that could be read a second ago is not left just because this is not known now.
    strayPartition(of.node.probe, shard).catch(error => (wasRead ? undefined : Promise.reject(error))),
  ]);
  const [found, stray] = await inTime(Promise.all(asked), lookMs);
  if (found === undefined) throw new Retryable('it has no tables yet');
  if (stray !== undefined) throw new Retryable(stray);
  of.incarnation = found;
  of.why = undefined;
}
