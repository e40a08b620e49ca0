/**
 * Reads the store once for all clients that listen to GET /v1/live. It reads every second while somebody listens, and a
 * little longer, so that a client that comes back gets what it has missed. While nobody listens, nothing is read.
 *
 * An event is made and encoded once, however many clients get it. After the first event, the feed never waits for Kafka:
 * while Kafka does not answer, events continue and say so.
 */

import type { Readable } from 'node:stream';
import { forNobody } from '../../../infra/asking.ts';
import { messageOf } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import { pause } from '../../../infra/pause.ts';
import { statusOf } from '../../answers/pipeline-status.ts';
import { createStallWatch, type Stall, type StallWatch } from '../../answers/stalled-partitions.ts';
import { isoOf } from '../../http/parameters.ts';
import type { LogEnds } from '../../log/log-ends.ts';
import { createEventRing } from './event-ring.ts';
import { createLiveDeltas, type LiveDeltas } from './live-deltas.ts';
import type { LiveEvent } from './live-event.ts';
import type { LiveReading } from './live-reading.ts';
import { liveClients, liveLeft } from './metrics.ts';
import { createSubscribers } from './subscribers.ts';

export interface LiveFeed extends AsyncDisposable {
  /**
   * Returns a stream of all future events. Events since `lastEventId` come first, if they are still known. Returns
   * undefined when too many clients listen and none of them has to make room for this one.
   */
  open(client: string, lastEventId: string | undefined): Readable | undefined;
  /** Whether it reads: somebody listens, or did a moment ago. */
  readonly isReading: boolean;
}

export interface LiveFeedDeps {
  /** Both times are in epoch ms. */
  readonly read: (now: number, restatedSince: number) => Promise<LiveReading>;
  readonly logEnds: LogEnds;
  /** Left out: the feed makes its own. */
  readonly stalls?: StallWatch;
  /** Epoch ms. */
  readonly now: () => number;
  /**
   * Milliseconds of a clock that does not go back. By the wall clock, nobody would get an event for as long as that was put
   * back.
   */
  readonly clock?: () => number;
  readonly log: Logger;
  readonly maxClients: number;
  readonly maxBufferBytes: number;
  /** The beginning of the ids of its events, which no other feed has: lower-case letters and digits. */
  readonly run: string;
  /** Given when it is for the ads of a tenant alone. Then its events say nothing about the pipeline as a whole. */
  readonly tenant: string | undefined;
  readonly intervalMs?: number;
  /** How long it continues to read after the last client has left. */
  readonly lingerMs?: number;
}

/** How many events are kept, which is also how many seconds a client may be away. */
const eventsKept = 60;

/** A restatement becomes visible a little later than the time that it contains. */
const restatedOverlapMs = 30_000;

/** A client that has read nothing for this time has gone, or does not listen. */
const maxBehindMs = 30_000;

/** How often a comment is sent, so that proxies and clients see that the connection works while no event comes. */
const heartbeatMs = 10_000;

/** Long because its parts share the state of one loop, which runs while somebody listens. */
export function createLiveFeed(deps: LiveFeedDeps): LiveFeed {
  const { clock = () => performance.now(), maxClients, maxBufferBytes, intervalMs = 1_000, lingerMs = 30_000 } = deps;
  const ring = createEventRing(deps.run, { maxEvents: eventsKept, maxBytes: maxBufferBytes / 2 });
  const subscribers = createSubscribers({
    ...{ maxClients, maxBufferBytes, maxBehindMs, now: clock },
    farewell: message({ reason: 'room' }, { event: 'closing' }),
    onLeave(why) {
      liveLeft.inc({ why });
      liveClients.dec();
    },
  });
  const step = createStep(deps);
  const stop = new AbortController();
  let running: Promise<void> | undefined;

  const run = async () => {
    const heartbeat = setInterval(() => subscribers.send(comment('alive')), heartbeatMs);
    try {
      for (let lastHeardAt = clock(); !stop.signal.aborted; ) {
        // First, because the process may have been stopped for longer than `lingerMs`, and its listeners still wait.
        if (subscribers.size > 0) lastHeardAt = clock();
        if (clock() - lastHeardAt >= lingerMs) break;
        const startedAt = clock();
        const outcome = await step();
        if (outcome.ok) subscribers.send(ring.add(id => message(outcome.event, { id })).bytes);
        else subscribers.send(message(outcome.trouble, { event: 'unavailable' }));
        const restMs = Math.max(20, intervalMs - (clock() - startedAt));
        await pause(restMs, stop.signal);
      }
    } finally {
      clearInterval(heartbeat);
      running = undefined;
    }
  };

  const missed = (lastEventId: string): readonly Buffer[] =>
    ring.after(lastEventId)?.map(event => event.bytes) ?? [message({ reason: 'unknown_id' }, { event: 'reset' })];

  return {
    get isReading() {
      return running !== undefined;
    },
    open(client, lastEventId) {
      if (stop.signal.aborted) return undefined;
      const latest = running ? ring.latest() : undefined;
      const first = lastEventId === undefined ? [] : missed(lastEventId);
      const isFresh = lastEventId === undefined || ring.after(lastEventId) === undefined;
      const stream = subscribers.add(client, [retryHint, ...first, ...(isFresh && latest ? [latest.bytes] : [])]);
      if (stream === undefined) return undefined;
      liveClients.inc();
      // The loop reads for all clients, so it must not end with the request of the first one.
      running ??= forNobody(run);
      return stream;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      subscribers.send(message({ reason: 'stopping' }, { event: 'closing' }));
      subscribers.close();
      await running;
    },
  };
}

type Outcome = { readonly ok: true; readonly event: LiveEvent } | { readonly ok: false; readonly trouble: object };

/** Returns a function that reads once. A failure is an outcome too, because listeners want to see it. */
function createStep({
  read,
  logEnds,
  now,
  log,
  tenant,
  stalls = createStallWatch(now),
}: LiveFeedDeps): () => Promise<Outcome> {
  const deltas = createLiveDeltas();
  let ends: { readonly known: Awaited<ReturnType<LogEnds>> } | undefined;
  let wasOk = true;
  return async () => {
    const at = now();
    const asked = logEnds().then(known => {
      ends = { known };
    });
    try {
      const reading = await read(at, at - restatedOverlapMs);
      if (!ends) await asked;
      wasOk = true;
      if (tenant !== undefined) return { ok: true, event: eventOfTenant(tenant, reading, ends?.known, deltas, at) };
      return { ok: true, event: eventOf(reading, ends?.known, stalls(reading.progress).stalled, deltas, at) };
    } catch (error) {
      if (wasOk) log.warn({ reason: messageOf(error) }, 'live: the database does not answer');
      wasOk = false;
      return { ok: false, trouble: { at: isoOf(at), code: 'unavailable', detail: 'the database cannot answer' } };
    }
  };
}

function eventOf(
  { progress, restatements, pending_late, pending_split, minutes, current, last }: LiveReading,
  ends: Awaited<ReturnType<LogEnds>>,
  stalled: readonly Stall[],
  deltas: LiveDeltas,
  at: number,
): LiveEvent {
  const { watermark, watermark_age_ms, final_until, conservation } = statusOf(
    progress,
    ends,
    undefined,
    new Map(),
    [],
    at,
  );
  const { received, counted, duplicates, quarantined, gross, invalid, net, unread_records } = conservation;
  return {
    at: isoOf(at),
    tenant: null,
    kafka: ends ? 'up' : 'away',
    ...{ watermark, watermark_age_ms, final_until },
    lag_records: unread_records,
    stalled: stalled.map(({ partition, since }) => ({ partition, since: isoOf(since) })),
    clicks_per_second: deltas.rate(at, counted),
    totals: { received, counted, duplicates, quarantined, gross, invalid, net },
    ...{ pending_late, pending_split, minutes, current, last },
    changes: deltas.fresh(restatements),
  };
}

/** What is about all ads is left out: how many clicks there are, and how many wait to be counted. */
function eventOfTenant(
  tenant: string,
  reading: LiveReading,
  ends: Awaited<ReturnType<LogEnds>>,
  deltas: LiveDeltas,
  at: number,
): LiveEvent {
  const { progress, restatements, pending_late, pending_split, minutes, current, last } = reading;
  const { watermark, watermark_age_ms, final_until } = statusOf(progress, ends, undefined, new Map(), [], at);
  return {
    at: isoOf(at),
    tenant,
    kafka: ends ? 'up' : 'away',
    ...{ watermark, watermark_age_ms, final_until },
    lag_records: null,
    stalled: [],
    clicks_per_second: deltas.rate(at, deltas.seen(minutes.map(distinctOf))),
    totals: null,
    ...{ pending_late, pending_split, minutes, current, last },
    changes: deltas.fresh(restatements),
  };
}

/** Distinct clicks, as the counters of the pipeline count them. */
function distinctOf({ start, gross, duplicates }: LiveEvent['minutes'][number]) {
  return { start, count: gross - duplicates };
}

function message(data: object, { id, event }: { readonly id?: string; readonly event?: string }): Buffer {
  const head = `${id === undefined ? '' : `id: ${id}\n`}${event === undefined ? '' : `event: ${event}\n`}`;
  return Buffer.from(`${head}data: ${JSON.stringify(data)}\n\n`);
}

function comment(text: string): Buffer {
  return Buffer.from(`: ${text}\n\n`);
}

/** How long a client waits before it comes back. Sending it at once also sends the headers. */
const retryHint = Buffer.from('retry: 2000\n\n');
