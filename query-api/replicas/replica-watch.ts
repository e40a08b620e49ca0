/**
 * Looks every second whether each ClickHouse node answers and how far it is, and says which node of a shard is to be
 * read.
 *
 * A node is read if it answers, lacks nothing that another of its shard has, and is at most `REPLICA_MAX_LAG_MS` behind the
 * furthest, whether that one answers or not: numbers that were told must not fall back to what they were long ago. There
 * is no reading from one that is further behind, even if it is the only one left; it catches up, or the other comes back.
 *
 * Who reads stays with a node as long as it may be read. At first, and whenever it may not, the first in the order of the
 * topology that may is taken.
 */

import { askedBy } from '../../infra/asking.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { incarnationOf } from '../../infra/clickhouse/incarnation.ts';
import { NodeUnreached } from '../../infra/clickhouse/over-shards.ts';
import { type InShards, oneShard } from '../../infra/clickhouse/topology.ts';
import { messageOf, Retryable } from '../../infra/errors.ts';
import { inTime } from '../../infra/in-time.ts';
import type { Logger } from '../../infra/log.ts';
import { pause } from '../../infra/pause.ts';
import type { NodePosition } from '../log/counted-log.ts';
import { createCatchingUp } from './catching-up.ts';
import { NoReplica, strayPartition } from './shard.ts';

export interface WatchedNode {
  readonly name: string;
  /** As other nodes reach it. */
  readonly tcp: string;
  /** For who reads. */
  readonly clickhouse: ClickHouse;
  /** For looking, so that no look waits behind readers. */
  readonly probe: Pick<ClickHouse, 'query'>;
}

/** reading: this process reads it. ready: it could. behind, incomplete (it lacks what the log no longer had when it was filled), away: it may not be read. */
export type NodeState = 'reading' | 'ready' | 'behind' | 'incomplete' | 'away';

export interface NodeReport {
  readonly node: string;
  readonly state: NodeState;
  /** When the state began, epoch ms. */
  readonly since: number;
  /** Why it is away. */
  readonly why: string | undefined;
  /** ms behind the furthest of its shard; undefined: more than is known. */
  readonly lagMs: number | undefined;
}

export interface ReplicaWatch extends AsyncDisposable {
  readonly nodes: readonly WatchedNode[];
  /** The one to read now. @throws NoReplica where none may be read */
  choose(without?: ReadonlySet<string>): WatchedNode;
  /** Who reads has found that it does not answer: it is not chosen until a look finds that it does. */
  suspect(name: string, why: string): void;
  /** Resolves after the first look. */
  readonly looked: Promise<void>;
  /** Resolves after the look that is next. */
  nextLook(): Promise<void>;
  /** Called when a look finds that a node has gone. Returns how to stop listening. */
  onGone(name: string, listener: (why: Error) => void): () => void;
  incarnation(name: string): string | undefined;
  reports(): readonly NodeReport[];
}

export interface ReplicaWatchDeps {
  /** Of one shard. */
  readonly nodes: readonly WatchedNode[];
  /** Which; left out: there is one. */
  readonly shard?: InShards;
  /** @throws where Kafka does not answer: then what was known holds */
  readonly positions: () => Promise<readonly NodePosition[]>;
  readonly maxLagMs: number;
  /** Epoch ms. */
  readonly now: () => number;
  readonly log: Logger;
  readonly everyMs?: number;
}

interface Known {
  readonly node: WatchedNode;
  /** Undefined: it answers. */
  why: string | undefined;
  incarnation: string | undefined;
  isIncomplete: boolean;
  state: NodeState;
  since: number;
  readonly listeners: Set<(why: Error) => void>;
}

export function watchReplicas(deps: ReplicaWatchDeps): ReplicaWatch {
  const { nodes, shard = oneShard, maxLagMs, now, log, everyMs = 1_000 } = deps;
  const names = new Set(nodes.map(({ name }) => name));
  const positions = async () => (await deps.positions()).filter(({ node }) => names.has(node));
  const known = new Map(nodes.map(node => [node.name, firstKnown(node, now())]));
  const lags = createCatchingUp();
  const closing = new AbortController();
  let reading: string | undefined;

  const probe = async (of: Known) => {
    try {
      const asker = { signal: AbortSignal.timeout(lookMs), client: '', isOperation: true };
      const wasRead = of.why === undefined;
      const asked = askedBy(asker, () => [
        incarnationOf(of.node.probe),
        // What is not known of one that was well a second ago is no reason to leave it.
        strayPartition(of.node.probe, shard).catch(error => (wasRead ? undefined : Promise.reject(error))),
      ]);
      const [found, stray] = await inTime(Promise.all(asked), lookMs);
      if (found === undefined) throw new Retryable('it has no tables yet');
      if (stray !== undefined) throw new Retryable(stray);
      of.incarnation = found;
      of.why = undefined;
    } catch (error) {
      of.why = messageOf(error);
      const gone = new NodeUnreached(of.node.name, `${of.node.name} is away: ${of.why}`, error);
      for (const listener of [...of.listeners]) listener(gone);
    }
  };

  const measure = async () => {
    const found = await inTime(positions()).catch(error => log.debug({ why: messageOf(error) }, 'positions not known'));
    if (!found) return;
    const ofNode = (name: string) => new Map(found.filter(({ node }) => node === name).map(positionOf));
    lags.look(now(), new Map(nodes.map(({ name }) => [name, ofNode(name)])));
    const begins = fromOf(found);
    for (const of of known.values()) {
      // Tables that were copied from another node hold what that one held.
      const kin = new Set([...known.values()].filter(isKinOf(of)).map(({ node }) => node.name));
      const own = fromOf(found.filter(({ node }) => kin.has(node)));
      of.isIncomplete = [...begins].some(([key, from]) => (own.get(key) ?? from) > from);
    }
  };

  const mayRead = (of: Known) => of.why === undefined && !of.isIncomplete && lags.lagMs(of.node.name) <= maxLagMs;

  const stateOf = (of: Known): NodeState => {
    if (of.why !== undefined) return 'away';
    if (of.isIncomplete) return 'incomplete';
    if (!mayRead(of)) return 'behind';
    return of.node.name === reading ? 'reading' : 'ready';
  };

  const settle = () => {
    for (const of of known.values()) {
      const state = stateOf(of);
      if (state === of.state) continue;
      const level = state === 'reading' || state === 'ready' ? 'info' : 'warn';
      log[level]({ node: of.node.name, state, before: of.state, why: of.why }, 'ClickHouse node');
      of.state = state;
      of.since = now();
    }
  };

  let next = Promise.withResolvers<void>();
  const look = async () => {
    const after = Promise.withResolvers<void>();
    await Promise.all([...known.values()].map(probe));
    await measure();
    settle();
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
    choose(without = none) {
      const may = (of: Known | undefined): of is Known => of !== undefined && !without.has(of.node.name) && mayRead(of);
      const kept = known.get(reading ?? '');
      const chosen = may(kept) ? kept : [...known.values()].find(may);
      if (chosen === undefined) throw new NoReplica(shard, reasons(known.values(), lags.lagMs));
      if (reading !== chosen.node.name) {
        log.info({ node: chosen.node.name, before: reading }, 'read from now on');
        reading = chosen.node.name;
        settle();
      }
      return chosen.node;
    },
    suspect(name, why) {
      const of = known.get(name);
      if (of === undefined) return;
      of.why ??= why;
      settle();
    },
    onGone(name, listener) {
      const listeners = known.get(name)?.listeners;
      listeners?.add(listener);
      return () => void listeners?.delete(listener);
    },
    incarnation: name => known.get(name)?.incarnation,
    reports: () =>
      [...known.values()].map(of => {
        const lagMs = lags.lagMs(of.node.name);
        const { state, since, why } = of;
        return { node: of.node.name, state, since, why, lagMs: Number.isFinite(lagMs) ? lagMs : undefined };
      }),
    async [Symbol.asyncDispose]() {
      closing.abort();
      await watching;
    },
  };
}

const none: ReadonlySet<string> = new Set();
/** Who does not answer for so long is away: a look that hangs ends in the server, too. */
const lookMs = 2_000;

function firstKnown(node: WatchedNode, at: number): Known {
  const listeners = new Set<(why: Error) => void>();
  return {
    node,
    why: 'not looked at yet',
    incarnation: undefined,
    isIncomplete: false,
    state: 'away',
    since: at,
    listeners,
  };
}

function isKinOf(of: Known): (other: Known) => boolean {
  return other => other === of || (other.incarnation !== undefined && other.incarnation === of.incarnation);
}

function keyOf({ topic, partition }: NodePosition): string {
  return `${topic}[${partition}]`;
}

function positionOf(at: NodePosition): [string, number] {
  return [keyOf(at), at.position];
}

/** By partition, from where on the one that holds most holds all. */
function fromOf(positions: readonly NodePosition[]): Map<string, number> {
  const least = new Map<string, number>();
  for (const at of positions) least.set(keyOf(at), Math.min(at.from, least.get(keyOf(at)) ?? at.from));
  return least;
}

function reasons(known: Iterable<Known>, lagMs: (name: string) => number): string {
  const each = [...known].map(({ node: { name }, why, isIncomplete }) => {
    if (why !== undefined) return `${name} is away (${why.slice(0, 100)})`;
    if (isIncomplete) return `${name} is incomplete`;
    const lag = lagMs(name);
    return `${name} is ${Number.isFinite(lag) ? `${lag / 1_000} s behind` : 'further behind than is known'}`;
  });
  return each.join(', ');
}
