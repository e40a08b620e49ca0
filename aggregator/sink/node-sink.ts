/**
 * The sink of one ClickHouse node, from when the node is there: it gets its tables, then rows. A node that was emptied
 * meanwhile, as its directory was removed, gets tables anew and is filled from where the log begins; nobody has to be told.
 * What goes wrong with the node holds up nobody else's.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { incarnationOf } from '../../infra/clickhouse/incarnation.ts';
import { messageOf, Retryable } from '../../infra/errors.ts';
import { migrate } from '../../infra/migrate.ts';
import { retrying } from '../../infra/retry.ts';
import { type SinkNode, sinkNode } from './node.ts';
import { openSink, type Sink, type SinkDeps } from './sink.ts';

export interface NodeSinkDeps extends Omit<SinkDeps, 'node'> {
  readonly of: Parameters<typeof sinkNode>[0];
  readonly topology: Parameters<typeof sinkNode>[1];
  /** Called before the groups are joined for the first time. */
  readonly beforeJoining?: (node: SinkNode) => Promise<void>;
  readonly lookEveryMs?: number;
}

/** Begins at once, and goes on until it is disposed of. */
export function followNode(deps: NodeSinkDeps): Sink {
  const { clickhouse, of, log, topology, onCrash, beforeJoining, lookEveryMs = 5_000 } = deps;
  const closing = new AbortController();
  const { signal } = closing;
  let running: Sink | undefined;
  let why = 'its tables are not known yet';

  const prepared = async () => {
    await migrate(clickhouse, log);
    const incarnation = await incarnationOf(clickhouse);
    if (incarnation === undefined) throw new Retryable(`${of.name} has lost its tables`);
    return sinkNode(of, topology, incarnation);
  };

  const isStillThat = async ({ incarnation }: SinkNode) => {
    try {
      return (await incarnationOf(clickhouse)) === incarnation;
    } catch (error) {
      log.debug({ node: of.name, why: messageOf(error) }, 'not known whether it is still filled');
      return true;
    }
  };

  const follow = async () => {
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const node = await retrying(`tables of ${of.name}`, log, signal, prepared);
      if (isFirst) await beforeJoining?.(node);
      const sink = await retrying(`join groups of ${of.name}`, log, signal, () => openSink({ ...deps, node }));
      running = sink;
      try {
        do await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
        while (!signal.aborted && (await isStillThat(node)));
      } finally {
        running = undefined;
        await sink[Symbol.asyncDispose]();
      }
      if (!signal.aborted) log.warn({ node: of.name }, 'the node was emptied: it is filled from where the log begins');
    }
  };

  const following = follow().catch(error => {
    if (signal.aborted && error instanceof Retryable) return;
    why = messageOf(error);
    // Who has others to serve goes on with them; a person has to see to this one.
    if (topology.nodes === 1) onCrash(error instanceof Error ? error : new Error(why));
    else log.error({ node: of.name, why }, 'node halted: it gets no more rows');
  });

  return {
    check() {
      if (running === undefined) throw new Error(why);
      running.check();
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await following;
    },
  };
}
