/**
 * Runs the sink of one ClickHouse node: it waits for the node, creates its tables, and then inserts rows.
 *
 * A node may be emptied while the sink runs, when its directory is removed. Then it gets new tables and is filled from
 * the beginning of the log, without any action by a person. A problem with one node does not delay the sinks of others.
 *
 * Other sink processes may still be filling the old tables. They would continue in the new ones at their positions,
 * with current progress but without the rows that it covers. So an emptied node stays without tables until each of them
 * has looked, found none, and stopped.
 */

import { incarnationOf } from '../../infra/clickhouse/incarnation.ts';
import { messageOf, Retryable } from '../../infra/errors.ts';
import { openAdmin } from '../../infra/kafka/admin.ts';
import { migrate } from '../../infra/migrate.ts';
import { pause } from '../../infra/pause.ts';
import { retrying } from '../../infra/retry.ts';
import { type SinkNode, sinkNode } from './node.ts';
import { watchNodeClock } from './node-clock.ts';
import { openRowEraser } from './row-eraser.ts';
import { openSink, type Sink, type SinkDeps } from './sink.ts';
import { whileFilled } from './while-filled.ts';

export interface NodeSinkDeps extends Omit<SinkDeps, 'node' | 'signal'> {
  readonly of: Parameters<typeof sinkNode>[0];
  readonly topology: Parameters<typeof sinkNode>[1];
  /** Is called before the groups are joined for the first time. */
  readonly beforeJoining?: (node: SinkNode) => Promise<void>;
  readonly lookEveryMs?: number;
}

/** Begins at once, and continues until it is disposed of. */
export function followNode(deps: NodeSinkDeps): Sink {
  const { of, log, topology, onCrash, beforeJoining, lookEveryMs = defaultLookEveryMs } = deps;
  const closing = new AbortController();
  const { signal } = closing;
  let running: Sink | undefined;
  let why = 'the tables of the node are not known yet';

  const follow = async () => {
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const node = await retrying(`tables of ${of.name}`, log, signal, () => prepare(deps, signal));
      if (isFirst) await beforeJoining?.(node);
      await whileFilled(
        {
          open: end => retrying(`join groups of ${of.name}`, log, end, () => openFilled(deps, node, end)),
          onRunning(sink) {
            running = sink;
            if (sink) log.info({ node: of.name }, 'sink runs');
          },
          isStillFilled: () => isStillFilled(node, deps),
          lookEveryMs,
        },
        signal,
      );
      if (!signal.aborted)
        log.warn({ node: of.name }, 'the node was emptied: it is filled from the beginning of the log');
    }
  };

  const following = follow().catch(error => {
    if (signal.aborted && error instanceof Retryable) return;
    why = messageOf(error);
    // A process that serves other nodes continues with them. A person must look after this one.
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

/** Opens what inserts rows, what erases persons from rows that are there, and what looks at the clock of the node. */
async function openFilled(deps: NodeSinkDeps, node: SinkNode, signal: AbortSignal): Promise<Sink> {
  const { clickhouse, erasures, config, log } = deps;
  await using opening = new AsyncDisposableStack();
  const sink = opening.use(await openSink({ ...deps, node, signal }));
  opening.use(
    openRowEraser({
      ...{ clickhouse, book: erasures.book, node: node.name, now: Date.now, log },
      settleMs: config.SINK_ERASURE_SETTLE_MS,
    }),
  );
  opening.use(watchNodeClock({ clickhouse, node: node.name, log }));
  const opened = opening.move();
  return { check: sink.check, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

const defaultLookEveryMs = 5_000;

/** Returns the node once it has its tables. @throws Retryable */
async function prepare(deps: NodeSinkDeps, signal: AbortSignal): Promise<SinkNode> {
  const { clickhouse, of, topology, log, lookEveryMs = defaultLookEveryMs } = deps;
  if ((await incarnationOf(clickhouse)) === undefined && (await wasFilled(deps))) {
    log.warn(
      { node: of.name, pauseMs: 3 * lookEveryMs },
      'the node is empty: its tables are created as soon as no sink fills the former ones',
    );
    await pause(3 * lookEveryMs, signal);
    if (signal.aborted) throw new Retryable('closing');
  }
  await migrate(clickhouse, log);
  const incarnation = await incarnationOf(clickhouse);
  if (incarnation === undefined) throw new Retryable(`${of.name} has lost its tables`);
  return sinkNode(of, topology, incarnation);
}

/** Returns whether a sink has filled the node in an earlier incarnation. */
async function wasFilled({ kafka, names, of, topology }: NodeSinkDeps): Promise<boolean> {
  await using admin = await openAdmin(kafka);
  const { inGroups } = sinkNode(of, topology, '');
  return (await admin.commits(names.groupAt(names.rawSinkGroup, inGroups), names.topic('clicks'))).size > 0;
}

/** Returns true also when the node does not answer: then nobody knows of a change. */
async function isStillFilled({ incarnation }: SinkNode, { clickhouse, of, log }: NodeSinkDeps): Promise<boolean> {
  try {
    return (await incarnationOf(clickhouse)) === incarnation;
  } catch (error) {
    log.debug({ node: of.name, why: messageOf(error) }, 'it is not known whether a sink still fills the node');
    return true;
  }
}
