/**
 * The nodes of a shard as one store to read. All that is read within one `reading` is read from one node, so no answer
 * mixes what two of them have; who asks for rows need not know that there are several. When the node goes, all its reads
 * reject, and with them the work, which nobody has to give up while it goes on.
 *
 * Where there is one node, nothing stands in between.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Asker, askedBy, currentAsker, whileAsked } from '../../infra/asking.ts';
import type { Disk } from '../../infra/clickhouse/disks.ts';
import { codeOf } from '../../infra/clickhouse/errors.ts';
import type { ClickHouse } from '../../infra/clickhouse.ts';
import { messageOf, Retryable, Unserved } from '../../infra/errors.ts';
import { inTime } from '../in-time.ts';
import type { ReplicaWatch, WatchedNode } from './replica-watch.ts';

export interface Replicas {
  /** What is read within a `reading` is of its node; else of the one to be read at that moment. @throws Retryable where none may be read */
  readonly clickhouse: ClickHouse;
  /** The name of that node. */
  node(): string;
  /**
   * What `make` makes, once for each node: of what is kept between readings, each node has its own.
   */
  each<T>(make: () => T): () => T;
  /**
   * `work` reads one node; its reads reject as soon as it is known that this node does not answer.
   * @throws Retryable where no other than `without` may be read
   */
  reading<T>(work: () => Promise<T>, without?: ReadonlySet<string>): Promise<T>;
  /** Whether there is another one to try where one fails. */
  readonly areSeveral: boolean;
  /** Whether another node may do better than the one that has failed so. */
  isNodesFault(error: unknown): boolean;
}

export function oneReplica(name: string, clickhouse: ClickHouse): Replicas {
  return {
    clickhouse,
    node: () => name,
    each(make) {
      const made = make();
      return () => made;
    },
    reading: work => work(),
    areSeveral: false,
    isNodesFault: () => false,
  };
}

export function replicasOf(watch: ReplicaWatch): Replicas {
  const chosen = new AsyncLocalStorage<WatchedNode>();
  const current = () => chosen.getStore() ?? watch.choose();
  return {
    clickhouse: {
      // Promises reject, also where no node may be read.
      query: async (sql, params, options) => await whileAsked(current().clickhouse.query(sql, params, options)),
      queryLines: async (sql, params, options) =>
        await whileAsked(current().clickhouse.queryLines(sql, params, options)),
      command: unwritten,
      insert: unwritten,
      ping: async () => await current().clickhouse.ping(),
      disks: async () => await disksOf(watch.nodes),
      stream: (sql, format, params, options) => current().clickhouse.stream(sql, format, params, options),
      [Symbol.asyncDispose]: async () => undefined,
    },
    node: () => current().name,
    each<T>(make: () => T) {
      const made = new Map<string, T>();
      return () => {
        const { name } = current();
        const own = made.get(name) ?? make();
        made.set(name, own);
        return own;
      };
    },
    async reading(work, without) {
      await watch.looked;
      const node = await patientlyChosen(watch, without);
      const [gone, over] = [new AbortController(), new AbortController()];
      const forget = watch.onGone(node.name, why => gone.abort(why));
      try {
        return await askedBy(untilGone(gone.signal, over.signal), () => chosen.run(node, work));
      } catch (error) {
        if (isNodesFault(error)) watch.suspect(node.name, messageOf(error));
        throw error;
      } finally {
        forget();
        over.abort('the reading is over');
      }
    },
    areSeveral: true,
    isNodesFault,
  };
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
