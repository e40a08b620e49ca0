/**
 * Holds what this process knows about the nodes of a shard, and decides which of them it reads.
 *
 * A node is read if it answers, lacks nothing that another node of its shard has, and is at most `maxLagMs` behind the
 * furthest node, whether that one answers or not. Numbers that were already answered must not fall back to older ones.
 * So a node that is further behind is not read, even if it is the only one left: it has to catch up, or another one has
 * to come back.
 *
 * A reader stays with a node as long as the node may be read. At first, and when the node may no longer be read, the
 * first node that may be read is taken, in the order of the topology.
 */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { NodeUnreached } from '../../infra/clickhouse/over-shards.ts';
import type { InShards } from '../../infra/clickhouse/topology.ts';
import { messageOf } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import type { NodePosition } from '../log/counted-log.ts';
import { createCatchingUp } from './catching-up.ts';
import { NoReplica } from './shard.ts';

export interface WatchedNode {
  readonly name: string;
  /** The address under which other nodes reach it. */
  readonly tcp: string;
  /** For readers. */
  readonly clickhouse: ClickHouse;
  /** For looks at the node, which must not wait behind readers. */
  readonly probe: Pick<ClickHouse, 'query'>;
}

/**
 * `reading`: this process reads the node. `ready`: it may read the node. The others may not be read: `behind`,
 * `incomplete` (it lacks what the log no longer had when it was filled), and `away`.
 */
export type NodeState = 'reading' | 'ready' | 'behind' | 'incomplete' | 'away';

export interface NodeReport {
  readonly node: string;
  readonly state: NodeState;
  /** When the state began, in epoch ms. */
  readonly since: number;
  /** Why the node is away. */
  readonly why: string | undefined;
  /** How far it is behind the furthest node of its shard. Undefined when that is more than is known. */
  readonly lagMs: number | undefined;
}

export interface Known {
  readonly node: WatchedNode;
  /** Why the node is away. Undefined when it answers. */
  why: string | undefined;
  incarnation: string | undefined;
  isIncomplete: boolean;
  state: NodeState;
  since: number;
  readonly listeners: Set<(why: Error) => void>;
}

export interface KnownNodesOptions {
  readonly shard: InShards;
  readonly maxLagMs: number;
  /** Epoch ms. */
  readonly now: () => number;
  readonly log: Logger;
}

export class KnownNodes {
  readonly #known: ReadonlyMap<string, Known>;
  readonly #lags = createCatchingUp();
  readonly #options: KnownNodesOptions;
  #reading: string | undefined;

  constructor(nodes: readonly WatchedNode[], options: KnownNodesOptions) {
    this.#known = new Map(nodes.map(node => [node.name, firstKnown(node, options.now())]));
    this.#options = options;
  }

  all(): readonly Known[] {
    return [...this.#known.values()];
  }

  get(name: string): Known | undefined {
    return this.#known.get(name);
  }

  /** Notifies everybody who reads the node. */
  hasGone(of: Known, error: unknown): void {
    of.why = messageOf(error);
    const gone = new NodeUnreached(of.node.name, `${of.node.name} is away: ${of.why}`, error);
    for (const listener of [...of.listeners]) listener(gone);
  }

  /** Takes the positions of all nodes of the shard, as Kafka has them. */
  measure(found: readonly NodePosition[]): void {
    const ofNode = (name: string) => new Map(found.filter(({ node }) => node === name).map(positionOf));
    this.#lags.look(performance.now(), new Map([...this.#known.keys()].map(name => [name, ofNode(name)])));
    const begins = fromOf(found);
    for (const of of this.all()) {
      // Tables that were copied from another node contain what that node contained.
      const kin = new Set(
        this.all()
          .filter(isKinOf(of))
          .map(({ node }) => node.name),
      );
      const own = fromOf(found.filter(({ node }) => kin.has(node)));
      of.isIncomplete = [...begins].some(([key, from]) => (own.get(key) ?? from) > from);
    }
  }

  /** Returns the node to read now. @throws NoReplica when no node may be read */
  choose(without: ReadonlySet<string>): WatchedNode {
    const may = (of: Known | undefined): of is Known =>
      of !== undefined && !without.has(of.node.name) && this.#mayRead(of);
    const kept = this.#known.get(this.#reading ?? '');
    const chosen = may(kept) ? kept : this.all().find(may);
    const { shard, log } = this.#options;
    if (chosen === undefined) throw new NoReplica(shard, reasons(this.all(), this.#lags.lagMs));
    if (this.#reading !== chosen.node.name) {
      log.info({ node: chosen.node.name, before: this.#reading }, 'read from now on');
      this.#reading = chosen.node.name;
      this.updateStates();
    }
    return chosen.node;
  }

  /** Must be called after each change of what is known. Logs each change of a state. */
  updateStates(): void {
    const { now, log } = this.#options;
    for (const of of this.all()) {
      const state = this.#stateOf(of);
      if (state === of.state) continue;
      const level = state === 'reading' || state === 'ready' ? 'info' : 'warn';
      log[level]({ node: of.node.name, state, before: of.state, why: of.why }, 'ClickHouse node');
      of.state = state;
      of.since = now();
    }
  }

  reports(): readonly NodeReport[] {
    return this.all().map(({ node, state, since, why }) => {
      const lagMs = this.#lags.lagMs(node.name);
      return { node: node.name, state, since, why, lagMs: Number.isFinite(lagMs) ? lagMs : undefined };
    });
  }

  #mayRead(of: Known): boolean {
    return of.why === undefined && !of.isIncomplete && this.#lags.lagMs(of.node.name) <= this.#options.maxLagMs;
  }

  #stateOf(of: Known): NodeState {
    if (of.why !== undefined) return 'away';
    if (of.isIncomplete) return 'incomplete';
    if (!this.#mayRead(of)) return 'behind';
    return of.node.name === this.#reading ? 'reading' : 'ready';
  }
}

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

/** Returns by partition the offset from which on the most complete of the nodes has everything. */
function fromOf(positions: readonly NodePosition[]): Map<string, number> {
  const least = new Map<string, number>();
  for (const at of positions) least.set(keyOf(at), Math.min(at.from, least.get(keyOf(at)) ?? at.from));
  return least;
}

function reasons(known: readonly Known[], lagMs: (name: string) => number): string {
  const each = known.map(({ node: { name }, why, isIncomplete }) => {
    if (why !== undefined) return `${name} is away (${why.slice(0, 100)})`;
    if (isIncomplete) return `${name} is incomplete`;
    const lag = lagMs(name);
    return `${name} is ${Number.isFinite(lag) ? `${lag / 1_000} s behind` : 'further behind than is known'}`;
  });
  return each.join(', ');
}
