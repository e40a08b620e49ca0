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
import { createPlaces, type PlaceLimits, type Places } from '../places.ts';
import { codeOf, translate } from './errors.ts';
import { readsCancelled, readsRefused, readsRunning, readsWaiting } from './metrics.ts';
import { createTickets } from './tickets.ts';

/**
 * `raw`: reads whose cost grows with clicks rather than with counts. `jobs`: reads of the process itself, which waits
 * for as long as it takes. `operations`: reads for health and metrics.
 */
export type ReadKind = (typeof readKinds)[number];
const readKinds = ['counts', 'raw', 'jobs', 'operations'] as const;

/** What is sent with a statement. */
export interface Sent {
  readonly query_id: string;
  readonly abort_signal?: AbortSignal;
  readonly clickhouse_settings: ClickHouseSettings;
}

export interface ReadLimits {
  readonly kinds: Readonly<Record<ReadKind, PlaceLimits>>;
  /** The number of cores that one raw read may use. */
  readonly rawThreads: number;
  /** Settings that every read carries in addition (table-engine.ts). */
  readonly settings?: ClickHouseSettings;
}

export interface Reads {
  /** @throws Retryable, or the reason of `currentAsker().signal` */
  run<T>(kind: ReadKind, read: (sent: Sent) => Promise<T>): Promise<T>;
  /** Takes no place. The caller makes sure that there are not too many streams. */
  stream(kind: ReadKind, read: (sent: Sent) => AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

/** `control` is for statements that end others, which must not wait for those. */
export function createReads(control: ClickHouseClient, limits: ReadLimits): Reads {
  const placeFor = createPlaceFinder(limits.kinds);
  const sentFor = createSentFor(limits);

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

/** Returns a function that waits for a place, and resolves with one that gives it back. */
function createPlaceFinder(kinds: ReadLimits['kinds']) {
  const placesOf = (kind: ReadKind): Places =>
    createPlaces(names[kind], kinds[kind], {
      onRunning: change => readsRunning.inc({ kind }, change),
      onWaiting: change => readsWaiting.inc({ kind }, change),
      onRefused: why => readsRefused.inc({ kind, why }),
    });
  // Something that never happened is shown as 0, not as missing.
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
   * A raw read without a ticket has a place of its own. That is a read of a request that was not marked as raw, or of a
   * page that is read after the answer has begun.
   */
  return async (kind: ReadKind, isRaw: boolean, asker: Asker | undefined) => {
    const ticket = kind === 'raw' ? asker?.ticket : undefined;
    return asker === undefined || ticket === undefined || ticket.aborted
      ? await places[kind].take(asker)
      : await tickets.take(ticket, asker, isRaw);
  };
}

/** Returns a function that says what is sent with the next statement. */
function createSentFor({ rawThreads, settings }: ReadLimits) {
  const turns: Readonly<Record<ReadKind, ClickHouseSettings>> = {
    ...{ counts: first, operations: first, jobs: {} },
    raw: { ...behind, max_threads: rawThreads },
  };
  return (kind: ReadKind, signal: AbortSignal | undefined): Sent => ({
    query_id: randomUUID(),
    ...(signal && { abort_signal: signal }),
    clickhouse_settings: { ...whoGoesEndsIt, ...fromRowsAlone, ...settings, ...turns[kind] },
  });
}

/** Returns the error to throw after a failed read. With `isRunning`, the server may still be working on it. */
function failureOf(error: unknown, kind: ReadKind, asker: Asker | undefined) {
  if (!asker?.signal.aborted) return { failure: translate(error, 'query'), isRunning: codeOf(error) === undefined };
  const failure: unknown = asker.signal.reason;
  if (failure instanceof Unserved) readsCancelled.inc({ kind, why: failure.why });
  return { failure, isRunning: true };
}

/** Returns whose places are used, and how the read runs in the server. */
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

/** The server watches the connections only of statements that can change nothing. */
const whoGoesEndsIt: ClickHouseSettings = { readonly: '2', cancel_http_readonly_queries_on_client_close: 1 };
/**
 * By default, a server remembers which parts had no row for a condition, and leaves them out when the condition comes again.
 * What it remembered has been wrong in several of its releases (ClickHouse#104781, ClickHouse#111363), and one entry
 * serves all readers, whichever ads they may see. The embedded server keeps no such memory, so this makes every server
 * answer as the one that is tested.
 */
const fromRowsAlone: ClickHouseSettings = { use_query_condition_cache: 0 };
const first: ClickHouseSettings = { priority: '1' };
/**
 * It pauses between blocks of rows while others run first, but not forever, because it would then only be in their way
 * for longer. Within a block the operating system prefers others, if the server is allowed to ask for that
 * (CAP_SYS_NICE; otherwise this has no effect).
 */
const behind: ClickHouseSettings = { priority: '2', low_priority_query_wait_time_ms: '100', os_thread_priority: '10' };

/**
 * A server closes connections that were idle for some seconds, or at the moment when it is stopped, without announcing
 * it. A read that was just sent into such a connection was read by nobody, and is sent once more over another one.
 */
function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

/**
 * Resolves when the server has ended the statement, or does not answer. Never rejects. The server does not know a
 * statement that is still on its way, so it is looked for twice.
 */
async function end(control: ClickHouseClient, id: string): Promise<void> {
  try {
    if ((await kill(control, id)) === 0) {
      await sleep(againMs);
      await kill(control, id);
    }
  } catch {
    // The server is away, or has reached its limit of statements. It ends them when it finds their connections closed.
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
