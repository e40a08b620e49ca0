/**
 * The nodes as one store to read: one of each shard. All that is read within one `reading` is read from the same nodes, so no
 * answer mixes what two of a shard have; who asks for rows need not know that there are several. When one of them goes, all
 * reads reject, and with them the work, which nobody has to give up while it goes on.
 *
 * Where there is one node, nothing stands in between.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Asker, askedBy, currentAsker, whileAsked } from '../../infra/asking.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import type { Disk } from '../../infra/clickhouse/disks.ts';
import { codeOf } from '../../infra/clickhouse/errors.ts';
import { NodeUnreached, type ShardNode } from '../../infra/clickhouse/over-shards.ts';
import { messageOf, Retryable, Unserved } from '../../infra/errors.ts';
import { inTime } from '../../infra/in-time.ts';
import type { ReplicaWatch, WatchedNode } from './replica-watch.ts';

/** One of each shard, in their order. */
type OneOfEach = readonly [WatchedNode, ...WatchedNode[]];

export interface Replicas {
  /** What is read within a `reading` is of its nodes; else of those to be read at that moment. @throws Retryable where none may be read */
  readonly clickhouse: ClickHouse;
  /** Those nodes, one of each shard. The first is asked for what every node has whole. */
  nodes(): readonly Pick<ShardNode, 'name' | 'clickhouse'>[];
  /**
   * What `make` makes, once for each choice of nodes: of what is kept between readings, each has its own.
   */
  each<T>(make: () => T): () => T;
  /**
   * `work` reads the same nodes; its reads reject as soon as it is known that one of these does not answer.
   * @throws Retryable where no other than `without` may be read
   */
  reading<T>(work: () => Promise<T>, without?: ReadonlySet<string>): Promise<T>;
  /** Whether there is another one to try where one fails, or one has to be chosen at all. */
  readonly areSeveral: boolean;
  readonly shards: number;
  /** Whether another node may do better than the one that has failed so. */
  isNodesFault(error: unknown): boolean;
}

/** Several shards as one store. */
export interface Shards {
  over(nodes: OneOfEach): ClickHouse;
  /** Rejects where the first of them does not find the others. */
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
  /** Each to be asked by itself. */
  readonly each: readonly Pick<ShardNode, 'name' | 'clickhouse'>[];
  readonly clickhouse: ClickHouse;
}

/** `watches`: of each shard. `shards`: where there are several. */
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
    clickhouse: {
      // Promises reject, also where no node may be read.
      query: async (sql, params, options) => await whileAsked(current().clickhouse.query(sql, params, options)),
      queryLines: async (sql, params, options) =>
        await whileAsked(current().clickhouse.queryLines(sql, params, options)),
      command: unwritten,
      insert: unwritten,
      ping: async () => await current().clickhouse.ping(),
      disks: async () => await disksOf(watches.flatMap(({ nodes }) => nodes)),
      stream: (sql, format, params, options) => current().clickhouse.stream(sql, format, params, options),
      [Symbol.asyncDispose]: async () => undefined,
    },
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

/** Of the nodes that a reading has failed on, the one that is not to be read again at once. */
export function nodeAtFault(error: unknown, nodes: readonly { readonly name: string }[]): string {
  return error instanceof NodeUnreached ? error.node : (nodes[0]?.name ?? '');
}

/** Its failures say that they are its own. */
function blamed({ name, clickhouse }: WatchedNode): Pick<ShardNode, 'name' | 'clickhouse'> {
  const told = (error: unknown): never => {
    const isNamed = error instanceof NodeUnreached || !isNodesFault(error);
    throw isNamed ? error : new NodeUnreached(name, `${name}: ${messageOf(error)}`, error);
  };
  return {
    name,
    clickhouse: {
      ...clickhouse,
      query: (sql, params, options) => clickhouse.query<never>(sql, params, options).catch(told),
      queryLines: (sql, params, options) => clickhouse.queryLines(sql, params, options).catch(told),
    },
  };
}

function ofEach(
  [first, ...others]: readonly [ReplicaWatch, ...ReplicaWatch[]],
  nodeOf: (watch: ReplicaWatch, i: number) => WatchedNode,
): OneOfEach {
  return [nodeOf(first, 0), ...others.map((watch, i) => nodeOf(watch, i + 1))];
}

/** What one node were given, the others would lack. */
async function unwritten(): Promise<never> {
  throw new Error('rows come out of the log, by a sink of each node');
}

/**
 * Who asks now, or the process itself, and not for longer than the node is there. The places of the node are its own, so
 * whoever asks another one leaves his here: when this reading is over, whatever becomes of the request.
 */
function untilGone(gone: AbortSignal, over: AbortSignal): Asker {
  const asker = currentAsker();
  if (asker === undefined) return { client: '', isOperation: false, isProcess: true, signal: gone };
  const { ticket } = asker;
  const own = { ...asker, signal: AbortSignal.any([asker.signal, gone]) };
  return ticket === undefined ? own : { ...own, ticket: AbortSignal.any([ticket, over]) };
}

/** Where none may be read, one may have come back since the last look. */
async function patientlyChosen(watch: ReplicaWatch, without?: ReadonlySet<string>): Promise<WatchedNode> {
  try {
    return watch.choose(without);
  } catch {
    await watch.nextLook();
    return watch.choose(without);
  }
}

/** Of all nodes that answer: each may be full by itself. */
async function disksOf(nodes: readonly WatchedNode[]): Promise<Disk[]> {
  const each = nodes.map(async ({ name, clickhouse }) => {
    const disks = await inTime(clickhouse.disks()).catch((): readonly Disk[] => []);
    return disks.map(disk => ({ ...disk, name: `${name} ${disk.name}` }));
  });
  return (await Promise.all(each)).flat();
}

/** What is as heavy on another node, or is no error of any, is told to who asked. */
function isNodesFault(error: unknown): boolean {
  // Too many wait here, or nobody does any more; and what has no cause was never sent.
  if (!(error instanceof Retryable) || error instanceof Unserved || error.cause === undefined) return false;
  return !heavy.has(codeOf(error) ?? '');
}

const heavy: ReadonlySet<string> = new Set([
  'TIMEOUT_EXCEEDED',
  'MEMORY_LIMIT_EXCEEDED',
  'TOO_SLOW',
  'QUERY_WAS_CANCELLED',
]);
