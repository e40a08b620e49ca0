/**
 * Holds one stream of live events for the whole page. A hidden page closes the stream; a page that is visible again continues
 * after the last event it had. Each listener gets every event, and a new listener gets the latest one at once. If no event
 * arrives for longer than three events take, the state becomes `silent`: a connection can stay open while the store hangs. It
 * can also stay open for ever while nothing is at its other end, for example after the computer slept: so a silent stream is
 * opened again. An event that was held back on its way, by a proxy for example, is old when it arrives: then the state is `delayed`.
 */
import { hearTime, msSince, serverTime, thisMoment } from './clock.js';

/** @import { LiveEvent } from './api-types.ts' */

/**
 * @typedef {'connecting' | 'live' | 'delayed' | 'silent' | 'away' | 'down' | 'lost'} LiveState
 * @typedef {(event: LiveEvent | undefined, state: LiveState, missedSince?: string) => void} LiveListener
 */

/** @type {Set<LiveListener>} */
const listeners = new Set();
/** @type {EventSource | undefined} */
let source;
/** @type {string | undefined} */
let lastId;
/** @type {LiveEvent | undefined} */
let latest;
let isWanted = false;
/** @type {LiveState} */
let state = 'connecting';
let heardAt = thisMoment();
let openedAt = thisMoment();
/** The time of the last event before those that the server could not send any more. @type {string | undefined} */
let missedSince;

/** An event comes each second. */
const silentAfterMs = 3_500;
/** The watermark is 15 s behind anyway, and servers' clocks differ a little. */
const delayedAfterMs = 10_000;
const openAgainAfterMs = 15_000;

/**
 * Calls `listener(event, state)` with each event and with each new state. The states are `connecting`, `live`, `delayed`, `silent`,
 * `away` (Kafka does not answer), `down` (the store does not answer) and `lost` (no connection). The event is undefined if only
 * the state is new. The third parameter is the time since which events were missed, if there are such. Returns a function that
 * stops the listener.
 * @param {LiveListener} listener
 */
export function listen(listener) {
  listeners.add(listener);
  if (latest) listener(latest, state);
  return () => listeners.delete(listener);
}

/** Whether the numbers of the latest event are current. @param {LiveState} now */
export const isFresh = now => now === 'live' || now === 'away';

/** Begins the stream, unless it runs. */
export function startLive() {
  if (isWanted) return;
  isWanted = true;
  open();
}

/** Ends the stream and forgets what it has told: the next one may be for somebody else. */
export function stopLive() {
  isWanted = false;
  close();
  lastId = undefined;
  latest = undefined;
  missedSince = undefined;
  announce('connecting');
}

/** Must be called once. */
export function watchLive() {
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) close();
    else if (!source && isWanted) {
      announce('connecting');
      open();
    }
  });
  setInterval(() => {
    if (!source || msSince(heardAt) <= silentAfterMs) return;
    if (isFresh(state) || state === 'delayed' || state === 'connecting') announce('silent');
    if (state !== 'silent' || Math.min(msSince(heardAt), msSince(openedAt)) < openAgainAfterMs) return;
    close();
    open();
  }, 500);
}

function open() {
  heardAt = openedAt = thisMoment();
  source = new EventSource(lastId ? `/v1/live?last_event_id=${encodeURIComponent(lastId)}` : '/v1/live');
  source.onmessage = message => {
    lastId = message.lastEventId;
    heardAt = thisMoment();
    /** @type {LiveEvent} */
    const event = JSON.parse(message.data);
    latest = event;
    const missed = missedSince;
    missedSince = undefined;
    // It was made before it arrived, and nobody knows how long before.
    hearTime(Date.parse(event.at));
    const isDelayed = serverTime() - Date.parse(event.at) > delayedAfterMs;
    announce(isDelayed ? 'delayed' : event.kafka === 'up' ? 'live' : 'away', event, missed);
  };
  // The server does not know the last id any more: what came after it is not told.
  source.addEventListener('reset', () => {
    missedSince ??= latest?.at;
  });
  source.addEventListener('unavailable', () => announce('down'));
  source.onerror = () => {
    announce('lost');
    // The server has refused the stream, for example because too many clients listen. Then the browser does not try again.
    if (source?.readyState !== EventSource.CLOSED) return;
    source = undefined;
    setTimeout(() => {
      if (!source && isWanted && !document.hidden) open();
    }, 5_000);
  };
}

function close() {
  source?.close();
  source = undefined;
}

/** @param {LiveState} now @param {LiveEvent} [event] @param {string} [missed] */
function announce(now, event, missed) {
  state = now;
  for (const listener of [...listeners]) listener(event, state, missed);
}
