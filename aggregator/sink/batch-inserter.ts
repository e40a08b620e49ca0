/**
 * Collects rows of several partitions, inserts them together, then commits their offsets: at least once, in that order.
 * All tables replace rows by key and version, so what is inserted again (after a crash, a lost reply, a rebalance, in
 * other batches) changes nothing.
 *
 * An insert that fails because the store is away or busy is repeated with the same rows until it succeeds: the caller's
 * batch waits, and its consumer reads no further. A batch that a rebalance takes away while it waits for its turn is left
 * out: it comes again, here or elsewhere, and nothing piles up.
 *
 * A small insert costs the store nearly as much as one ten times its size, and leaves a part to be merged. So whoever
 * has all that is in the log is held back for a while, until there is more; whoever is behind is not.
 */

import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { Corrupt, messageOf, RefusedRows } from '../../infra/errors.ts';
import type { FetchedBatch } from '../../infra/kafka/group-consumer.ts';
import type { Logger } from '../../infra/log.ts';
import { insertRetries, insertSeconds, rowBytes } from './metrics.ts';

/** Tables and NDJSON pieces of their rows, in the order of insertion. Of one leg, always the same tables. */
export type TableRows = Iterable<readonly [table: string, rows: readonly Buffer[]]>;

export interface BatchInserterOptions {
  readonly clickhouse: ClickHouse;
  /** The name of its node, for metrics. */
  readonly node: string;
  readonly log: Logger;
  readonly lingerMs: number;
  readonly maxBatchBytes: number;
  /** How far apart inserts are to begin while there is nothing more in the log. */
  readonly intervalMs: number;
  commit(topic: string, nextOffsets: ReadonlyMap<number, number>): Promise<void>;
  /** Puts in what can be put in of a batch that the store refuses to parse. */
  onRefused(batch: FetchedBatch, error: RefusedRows): Promise<void>;
}

export interface BatchInserter {
  /** Resolves when the batch's rows are in the store; rejects when the group rebalances meanwhile. */
  insert(batch: FetchedBatch, rows: TableRows): Promise<void>;
  /** Undefined, or why inserting does not succeed at the moment. */
  readonly failing: string | undefined;
  /** For how long the insert has been under way that is; 0: none is. */
  readonly insertingForMs: number;
  /** Nothing that has failed is repeated any more: what waits is rejected, and comes again to whoever reads on. */
  close(): void;
}

interface Piece {
  readonly batch: FetchedBatch;
  readonly rows: readonly (readonly [table: string, rows: readonly Buffer[]])[];
  readonly done: PromiseWithResolvers<void>;
  readonly bytes: number;
  abandoned: boolean;
}

const heartbeatMs = 2_000;
const longestPauseMs = 5_000;

export function createBatchInserter(options: BatchInserterOptions): BatchInserter {
  const { clickhouse, node, log, lingerMs, maxBatchBytes, intervalMs } = options;
  /** What was inserted last lay here, and what is next will: new memory each time costs several times the copying. */
  let memory = Buffer.alloc(0);
  const pieces: Piece[] = [];
  let bytes = 0;
  let timer: NodeJS.Timeout | undefined;
  let flushing = false;
  let failing: string | undefined;
  let insertingSinceMs = 0;
  const closing = new AbortController();

  const joined = (buffers: readonly Buffer[]) => {
    const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    if (length > memory.length) memory = Buffer.allocUnsafeSlow(length);
    let end = 0;
    for (const buffer of buffers) end += buffer.copy(memory, end);
    return memory.subarray(0, end);
  };

  const insertTable = async (table: string, ndjson: Buffer) => {
    for (let attempt = 0; ; attempt++) {
      const startedAt = performance.now();
      insertingSinceMs = startedAt;
      try {
        await clickhouse.insert(table, ndjson);
        insertSeconds.observe({ node, table }, (performance.now() - startedAt) / 1000);
        rowBytes.inc({ node, table }, ndjson.length);
        failing = undefined;
        return;
      } catch (error) {
        // What has failed here may yet be on its way somewhere: it keeps its bytes.
        memory = Buffer.alloc(0);
        if (error instanceof RefusedRows || closing.signal.aborted) throw error;
        const pauseMs = Math.min(longestPauseMs, 100 * 2 ** attempt);
        failing = messageOf(error);
        insertRetries.inc({ node, table });
        log.warn({ node, table, why: failing, pauseMs }, 'insert failed, to be repeated');
        await sleep(pauseMs, closing.signal);
        if (closing.signal.aborted) throw error;
      } finally {
        insertingSinceMs = 0;
      }
    }
  };

  const insertAll = async (taken: readonly Piece[]) => {
    for (const [step, [table]] of (taken[0]?.rows ?? []).entries()) {
      for (const rows of byForm(taken.flatMap(piece => piece.rows[step]?.[1] ?? [])))
        await insertTable(table, joined(rows));
    }
  };

  const flush = async () => {
    clearTimeout(timer);
    timer = undefined;
    if (flushing || pieces.length === 0) return;
    flushing = true;
    const taken = pieces.splice(0, mostOf(pieces));
    bytes -= sizeOf(taken);
    const startedAt = performance.now();
    try {
      await insertAll(taken);
      await commitAll(taken);
      const restMs = taken.some(({ batch }) => isBehind(batch)) ? 0 : startedAt + intervalMs - performance.now();
      for (const { done } of taken) restMs > 0 ? setTimeout(done.resolve, restMs) : done.resolve();
    } catch (error) {
      await settleRefused(taken, error);
    }
    flushing = false;
    if (pieces.length > 0) void flush();
  };

  /** How many of them make a batch: at least one, whatever its size. */
  const mostOf = (waiting: readonly Piece[]) => {
    let [most, size] = [0, 0];
    for (; most < waiting.length; most++) {
      size += waiting[most]!.bytes;
      if (most > 0 && size > maxBatchBytes) break;
    }
    return most;
  };

  const flushIn = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => void flush(), ms);
  };

  const settleRefused = async (taken: readonly Piece[], error: unknown) => {
    for (const piece of taken) {
      try {
        if (!(error instanceof RefusedRows)) throw error;
        // One by one takes its time: nobody is to take that for a stall.
        failing = messageOf(error);
        await options.onRefused(piece.batch, error);
        await commitAll([piece]);
        piece.done.resolve();
        failing = undefined;
      } catch (again) {
        // Of a contradiction the caller takes care; the next insert is another's.
        failing = again instanceof Corrupt ? undefined : messageOf(again);
        piece.done.reject(again);
      }
    }
  };

  /** A failed commit costs only work: the same rows are inserted again some time. */
  const commitAll = async (taken: readonly Piece[]) => {
    for (const [topic, offsets] of nextOffsets(taken)) {
      await options
        .commit(topic, offsets)
        .catch(error => log.warn({ topic, why: messageOf(error) }, 'offsets not committed'));
    }
  };

  return {
    get failing() {
      return failing;
    },
    get insertingForMs() {
      return insertingSinceMs === 0 ? 0 : performance.now() - insertingSinceMs;
    },
    close() {
      closing.abort();
    },
    async insert(batch, given) {
      const rows = [...given];
      const buffers = rows.flatMap(([, pieces]) => pieces);
      const piece: Piece = {
        ...{ batch, rows, done: Promise.withResolvers<void>(), abandoned: false },
        bytes: buffers.reduce((sum, buffer) => sum + buffer.length, 0),
      };
      pieces.push(piece);
      bytes += piece.bytes;
      if (bytes >= maxBatchBytes || lingerMs === 0) void flush();
      else if (isBehind(batch)) flushIn(0);
      else if (timer === undefined) flushIn(lingerMs);
      const heartbeats = setInterval(() => {
        batch.heartbeat().catch(error => {
          piece.abandoned = true;
          const waiting = pieces.indexOf(piece);
          if (waiting !== -1) bytes -= sizeOf(pieces.splice(waiting, 1));
          piece.done.reject(error);
        });
      }, heartbeatMs);
      await piece.done.promise.finally(() => clearInterval(heartbeats));
    },
  };
}

/**
 * Objects apart from arrays, as what one insert takes is of one format: an aggregator of before decision 011 wrote
 * objects. A piece that begins as neither goes on with what the one before began. No order matters among rows.
 */
export function byForm(pieces: readonly Buffer[]): Buffer[][] {
  const [objects, arrays]: [Buffer[], Buffer[]] = [[], []];
  let form = objects;
  for (const piece of pieces) {
    if (piece[0] === openingBrace) form = objects;
    else if (piece[0] === openingBracket) form = arrays;
    form.push(piece);
  }
  return [objects, arrays].filter(({ length }) => length > 0);
}

const [openingBrace, openingBracket] = [0x7b, 0x5b];

/** By the timer that a simulation has in its hands. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}

function sizeOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + piece.bytes, 0);
}

/** More was in the log already when the batch was fetched: to wait would gather nothing. */
function isBehind({ nextOffset, highWatermark }: FetchedBatch): boolean {
  return nextOffset < highWatermark;
}

/** By topic and partition. A batch that was given up is inserted but not committed: its partition may be another's. */
function nextOffsets(pieces: readonly Piece[]): Map<string, Map<number, number>> {
  const topics = new Map<string, Map<number, number>>();
  for (const { batch, abandoned } of pieces) {
    if (abandoned) continue;
    const offsets = topics.get(batch.topic) ?? new Map<number, number>();
    topics.set(batch.topic, offsets.set(batch.partition, batch.nextOffset));
  }
  return topics;
}
