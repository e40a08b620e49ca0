/**
 * Decides how a read gets a place, how much of the server it may use, and how it ends there.
 *
 * Reads of counts are short, and everybody waits for them. Raw reads take seconds. So they have places of their own and
 * fewer cores, and they have a lower priority in the server while counts are read. The same holds for everything else
 * that is read for a request for raw clicks, which uses the request's one place (tickets.ts). Health and metrics never
 * wait for any of them.
 *
 * A read ends in the server when nobody waits for it any more (asking.ts): its connection is closed and it is killed.
 * Its place is free only when the server has said that it is over. If the place were free before that, clients that ask
 * and go away again and again could start any number of reads. Closing the connection alone is not enough, because the
 * server checks it only while it makes progress, and not at all unless it is told to.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';
import { type Asker, currentAsker } from '../asking.ts';
import { Unserved } from '../errors.ts';
import { codeOf, translate } from './errors.ts';
import { readsCancelled, readsRefused, readsRunning, readsWaiting } from './metrics.ts';
import { createPlaces, type PlaceLimits, type Places } from './places.ts';
import { createTickets } from './tickets.ts';

/**
 * `raw`: what grows with clicks rather than with counts. `jobs`: of the process itself, which waits as long as it takes.
 * Whatever health and metrics read is of `operations`.
 */
export type ReadKind = (typeof readKinds)[number];
const readKinds = ['counts', 'raw', 'jobs', 'operations'] as const;

/** To be sent with a statement. */
export interface Sent {
  readonly query_id: string;
  readonly abort_signal?: AbortSignal;
  readonly clickhouse_settings: ClickHouseSettings;
}

export interface ReadLimits {
  readonly kinds: Readonly<Record<ReadKind, PlaceLimits>>;
  /** Cores that one raw read may have. */
  readonly rawThreads: number;
  /** What every read carries besides (table-engine.ts). */
  readonly settings?: ClickHouseSettings;
}

export interface Reads {
  /** @throws Retryable, or what `currentAsker().signal` says */
  run<T>(kind: ReadKind, read: (sent: Sent) => Promise<T>): Promise<T>;
  /** Without a place: who streams sees to it that not too many do. */
  stream(kind: ReadKind, read: (sent: Sent) => AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

/** `control`: for statements that end others, which must not wait for those. */
export function createReads(control: ClickHouseClient, { kinds, rawThreads, settings }: ReadLimits): Reads {
  const placesOf = (kind: ReadKind): Places =>
    createPlaces(names[kind], kinds[kind], {
      onRunning: change => readsRunning.inc({ kind }, change),
      onWaiting: change => readsWaiting.inc({ kind }, change),
      onRefused: why => readsRefused.inc({ kind, why }),
    });
  const turns: Readonly<Record<ReadKind, ClickHouseSettings>> = {
    ...{ counts: first, operations: first, jobs: {} },
    raw: { ...behind, max_threads: rawThreads },
  };
  // What never happened shows as 0, not as nothing.
  for (const kind of readKinds) {
    for (const why of ['full', 'share', 'waited'] as const) readsRefused.inc({ kind, why }, 0);
    for (const why of ['gone', 'late'] as const) readsCancelled.inc({ kind, why }, 0);
  }
  const places = {
    counts: placesOf('counts'),
    raw: placesOf('raw'),
    jobs: placesOf('jobs'),
    operations: placesOf('operations'),
  };
  const tickets = createTickets(places.raw);
  /**
   * A raw read without a ticket has a place to itself: of a request that nobody has said so of, of pages that are read after
   * their answer has begun.
   */
  const placeFor = async (kind: ReadKind, isRaw: boolean, asker: Asker | undefined) => {
    const ticket = kind === 'raw' ? asker?.ticket : undefined;
    return asker === undefined || ticket === undefined || ticket.aborted
      ? await places[kind].take(asker)
      : await tickets.take(ticket, asker, isRaw);
  };
  const sentFor = (kind: ReadKind, signal: AbortSignal | undefined): Sent => ({
    query_id: randomUUID(),
    ...(signal && { abort_signal: signal }),
    clickhouse_settings: { ...whoGoesEndsIt, ...settings, ...turns[kind] },
  });
  /** What to throw of a failed read; `isRunning`: the server may still be at it. */
  const failureOf = (error: unknown, kind: ReadKind, asker: Asker | undefined) => {
    if (!asker?.signal.aborted) return { failure: translate(error, 'query'), isRunning: codeOf(error) === undefined };
    const failure: unknown = asker.signal.reason;
    if (failure instanceof Unserved) readsCancelled.inc({ kind, why: failure.why });
    return { failure, isRunning: true };
  };

  return {
    async run(asked, read) {
      const asker = currentAsker();
      const kind = kindFor(asked, asker);
      const giveBack = await placeFor(kind, asked === 'raw', asker);
      let sent = sentFor(kind, asker?.signal);
      const again = (error: unknown) => {
        if (!isReset(error) || asker?.signal.aborted) throw error;
        void end(control, sent.query_id);
        sent = sentFor(kind, asker?.signal);
        return read(sent);
      };
      try {
        const result = await read(sent).catch(again);
        giveBack();
        return result;
      } catch (error) {
        const { failure, isRunning } = failureOf(error, kind, asker);
        if (isRunning) void end(control, sent.query_id).finally(giveBack);
        else giveBack();
        throw failure;
      }
    },

    async *stream(kind, read) {
      const asker = currentAsker();
      const sent = sentFor(kind, asker?.signal);
      let isOver = false;
      try {
        yield* read(sent);
        isOver = true;
      } catch (error) {
        const { failure, isRunning } = failureOf(error, kind, asker);
        isOver = !isRunning;
        throw failure;
      } finally {
        if (!isOver) void end(control, sent.query_id);
      }
    },
  };
}

/** In whose places, and how in the server. */
function kindFor(asked: ReadKind, asker: Asker | undefined): ReadKind {
  if (asker?.isOperation) return 'operations';
  return asked === 'counts' && asker?.ticket !== undefined ? 'raw' : asked;
}

const names: Readonly<Record<ReadKind, string>> = {
  counts: 'reads of counts',
  raw: 'reads of raw clicks',
  jobs: 'reads of jobs',
  operations: 'reads for health and metrics',
};

/** The server looks after the connections of those statements only that can change nothing. */
const whoGoesEndsIt: ClickHouseSettings = { readonly: '2', cancel_http_readonly_queries_on_client_close: 1 };
const first: ClickHouseSettings = { priority: '1' };
/**
 * It stops between blocks of rows while others go first, but not for ever: then it would only be in their way longer. Within
 * a block the system lets others go first, where the server may ask for that (CAP_SYS_NICE; else nothing comes of it).
 */
const behind: ClickHouseSettings = { priority: '2', low_priority_query_wait_time_ms: '100', os_thread_priority: '10' };

/**
 * A server closes connections that were idle for some seconds, or the moment it is told to stop, and does not say so
 * beforehand: a read that was just sent into one has been read by nobody, and is sent once more, over another.
 */
function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

/**
 * Resolves when the server has ended the statement, or does not answer. Never rejects. One that is on its way is not
 * known there yet, so it is looked for twice.
 */
async function end(control: ClickHouseClient, id: string): Promise<void> {
  try {
    if ((await kill(control, id)) === 0) {
      await sleep(againMs);
      await kill(control, id);
    }
  } catch {
    // The server is away, or has its own limit for statements: it ends them when it finds their connection closed.
  }
}

const againMs = 100;

async function kill(control: ClickHouseClient, id: string): Promise<number> {
  const killed = await control.query({
    query: 'KILL QUERY WHERE query_id = {id:String} SYNC',
    query_params: { id },
    format: 'JSONEachRow',
  });
  return (await killed.json()).length;
}
