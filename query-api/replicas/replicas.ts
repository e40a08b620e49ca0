/**
 * Makes one store out of several nodes, by reading one node of each shard.
 *
 * Everything that is read within one `reading` comes from the same nodes. So no answer mixes rows of two nodes of a
 * shard, and the code that asks for rows need not know that there are several nodes. When one of the nodes goes away,
 * all reads reject, and so the work ends. No work has to be given up that still goes on.
 *
 * With a single node, nothing of this is in between.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Asker, askedBy, currentAsker, whileAsked } from '../../infra/asking.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import type { Disk } from '../../infra/clickhouse/disks.ts';
import { codeOf } from '../../infra/clickhouse/errors.ts';
import { NodeUnreached, type ShardNode } from '../../infra/clickhouse/over-shards.ts';
import { messageOf, Retryable, Unserved } from '../../infra/errors.ts';
import { inTime } from '../../infra/in-time.ts';
import type { WatchedNode } from './known-nodes.ts';
import type { ReplicaWatch } from './replica-watch.ts';

/** One node of each shard, in the order of the shards. */
type OneOfEach = readonly [WatchedNode, ...WatchedNode[]];

export interface Replicas {
  /**
   * Reads the nodes of the current `reading`. Outside of one it reads the nodes that may be read at the moment.
   * @throws Retryable when no node may be read
   */
  readonly clickhouse: ClickHouse;
  /** Returns these nodes, one of each shard. The first node is asked for tables that every node has in full. */
  nodes(): readonly Pick<ShardNode, 'name' | 'clickhouse'>[];
  /**
   * Returns a function that returns the result of `make` for the current nodes. `make` is called once for each choice
   * of nodes, so that what is kept between readings is kept for each choice separately.
   */
  each<T>(make: () => T): () => T;
  /**
   * Runs `work`, which reads the same nodes all the time. Its reads reject as soon as one of the nodes is known not to
   * answer.
   * @throws Retryable when no node except those in `without` may be read
   */
  reading<T>(work: () => Promise<T>, without?: ReadonlySet<string>): Promise<T>;
  /** True when there is another node to try after a failure, or when nodes have to be chosen at all. */
  readonly areSeveral: boolean;
  readonly shards: number;
  /** Returns whether another node may succeed where this one has failed with `error`. */
  isNodesFault(error: unknown): boolean;
}

/** Reads several shards as one store. */
export interface Shards {
  over(nodes: OneOfEach): ClickHouse;
  /** Rejects when the first node does not reach the others. */
  check(nodes: OneOfEach): Promise<void>;
}

export function oneReplica(name: string, clickhouse: ClickHouse): Replicas {
  const nodes = [{ name, clickhouse }];
  return {
    clickhouse,
    nodes: () => nodes,
    each(make) {
      const made = make();
      return () => made;
    },
    reading: work => work(),
    areSeveral: false,
    shards: 1,
    isNodesFault: () => false,
  };
}

interface Chosen {
  readonly key: string;
  readonly nodes: OneOfEach;
  /** The same nodes, to be asked one by one. */
  readonly each: readonly Pick<ShardNode, 'name' | 'clickhouse'>[];
  readonly clickhouse: ClickHouse;
}

/** `watches` has one watch for each shard. `shards` is given when there are several shards. */
export function replicasOf(watches: readonly [ReplicaWatch, ...ReplicaWatch[]], shards?: Shards): Replicas {
  const chosen = new AsyncLocalStorage<Chosen>();
  const choices = new Map<string, Chosen>();
  const choiceOf = (nodes: OneOfEach): Chosen => {
    const key = nodes.map(({ name }) => name).join('+');
    const each = shards ? nodes.map(blamed) : nodes;
    const known = choices.get(key) ?? { key, nodes, each, clickhouse: shards?.over(nodes) ?? nodes[0].clickhouse };
    choices.set(key, known);
    return known;
  };
  const current = () => chosen.getStore() ?? choiceOf(ofEach(watches, watch => watch.choose()));
  return {
    clickhouse: readOnly(current, watches),
    nodes: () => current().each,
    each<T>(make: () => T) {
      const made = new Map<string, T>();
      return () => {
        const { key } = current();
        const own = made.get(key) ?? make();
        made.set(key, own);
        return own;
      };
    },
    async reading(work, without) {
      await Promise.all(watches.map(({ looked }) => looked));
      const nodes = await Promise.all(watches.map(watch => patientlyChosen(watch, without)));
      const choice = choiceOf(ofEach(watches, (_, i) => nodes[i] as WatchedNode));
      const [gone, over] = [new AbortController(), new AbortController()];
      const forget = watches.map((watch, i) => watch.onGone(nodes[i]?.name ?? '', why => gone.abort(why)));
      try {
        return await askedBy(untilGone(gone.signal, over.signal), async () => {
          await shards?.check(choice.nodes);
          return await chosen.run(choice, work);
        });
      } catch (error) {
        if (isNodesFault(error)) {
          const at = nodeAtFault(error, choice.nodes);
          for (const watch of watches) watch.suspect(at, messageOf(error));
        }
        throw error;
      } finally {
        for (const each of forget) each();
        over.abort('the reading is over');
      }
    },
    areSeveral: true,
    shards: watches.length,
    isNodesFault,
  };
}

function readOnly(current: () => Chosen, watches: readonly ReplicaWatch[]): ClickHouse {
  return {
    // These are async, so that they also reject, instead of throwing, when no node may be read.
    query: async (sql, params, options) => await whileAsked(current().clickhouse.query(sql, params, options)),
    queryLines: async (sql, params, options) => await whileAsked(current().clickhouse.queryLines(sql, params, options)),
    command: unwritten,
    insert: unwritten,
    ping: async () => await current().clickhouse.ping(),
    disks: async () => await disksOf(watches.flatMap(({ nodes }) => nodes)),
    stream: (sql, format, params, options) => current().clickhouse.stream(sql, format, params, options),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Returns which node has made a reading fail, and must not be read again at once. */
export function nodeAtFault(error: unknown, nodes: readonly { readonly name: string }[]): string {
  return error instanceof NodeUnreached ? error.node : (nodes[0]?.name ?? '');
}

/** Returns the node with failures that name it. */
function blamed({ name, clickhouse }: WatchedNode): Pick<ShardNode, 'name' | 'clickhouse'> {
  const blaming = (error: unknown): never => {
    const isNamed = error instanceof NodeUnreached || !isNodesFault(error);
    throw isNamed ? error : new NodeUnreached(name, `${name}: ${messageOf(error)}`, error);
  };
  return {
    name,
    clickhouse: {
      ...clickhouse,
      query: (sql, params, options) => clickhouse.query<never>(sql, params, options).catch(blaming),
      queryLines: (sql, params, options) => clickhouse.queryLines(sql, params, options).catch(blaming),
    },
  };
}

function ofEach(
  [first, ...others]: readonly [ReplicaWatch, ...ReplicaWatch[]],
  nodeOf: (watch: ReplicaWatch, i: number) => WatchedNode,
): OneOfEach {
  return [nodeOf(first, 0), ...others.map((watch, i) => nodeOf(watch, i + 1))];
}

/** A row that is written to one node would be missing in the others. */
async function unwritten(): Promise<never> {
  throw new Error('rows come out of the log, and the sink of each node inserts them');
}

/**
 * Returns the current asker, or the process itself, with a signal that also ends when a node goes away. Each node has
 * places of its own. So the asker gives up its place here when this reading is over, whatever happens to the request.
 */
function untilGone(gone: AbortSignal, over: AbortSignal): Asker {
  const asker = currentAsker();
  if (asker === undefined) return { client: '', isOperation: false, isProcess: true, signal: gone };
  const { ticket } = asker;
  const own = { ...asker, signal: AbortSignal.any([asker.signal, gone]) };
  return ticket === undefined ? own : { ...own, ticket: AbortSignal.any([ticket, over]) };
}

/** When no node may be read, waits for one more look, because a node may have come back. */
async function patientlyChosen(watch: ReplicaWatch, without?: ReadonlySet<string>): Promise<WatchedNode> {
  try {
    return watch.choose(without);
  } catch {
    await watch.nextLook();
    return watch.choose(without);
  }
}

/** Returns the disks of all nodes that answer, because each node may be full. */
async function disksOf(nodes: readonly WatchedNode[]): Promise<Disk[]> {
  const each = nodes.map(async ({ name, clickhouse }) => {
    const disks = await inTime(clickhouse.disks()).catch((): readonly Disk[] => []);
    return disks.map(disk => ({ ...disk, name: `${name} ${disk.name}` }));
  });
  return (await Promise.all(each)).flat();
}

/** A statement that is too heavy would be too heavy on another node too. */
function isNodesFault(error: unknown): boolean {
  // Unserved means that too many wait here, or that nobody waits any more. Without a cause, nothing was sent.
  if (!(error instanceof Retryable) || error instanceof Unserved || error.cause === undefined) return false;
  return !heavy.has(codeOf(error) ?? '');
}

const heavy: ReadonlySet<string> = new Set([
  'TIMEOUT_EXCEEDED',
  'MEMORY_LIMIT_EXCEEDED',
  'TOO_SLOW',
  'QUERY_WAS_CANCELLED',
]);
