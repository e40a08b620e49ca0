/**
 * Holds one stream of live events for the whole page. A hidden page closes the stream; a page that is visible again continues
 * after the last event it had. Each listener gets every event, and a new listener gets the latest one at once. If no event
 * arrives for longer than three events take, the state becomes `silent`: a connection can stay open while the store hangs.
 */
import { hearTime } from './clock.js';

/** @import { LiveEvent } from './api-types.ts' */

/**
 * @typedef {'connecting' | 'live' | 'silent' | 'away' | 'down' | 'lost'} LiveState
 * @typedef {(event: LiveEvent | undefined, state: LiveState) => void} LiveListener
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
let heardAt = performance.now();

/** An event comes each second. */
const silentAfterMs = 3_500;

/**
 * Calls `listener(event, state)` with each event and with each new state. The states are `connecting`, `live`, `silent`,
 * `away` (Kafka does not answer), `down` (the store does not answer) and `lost` (no connection). The event is undefined if only
 * the state is new. Returns a function that stops the listener.
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
    const isSilent = performance.now() - heardAt > silentAfterMs;
    if (source && isSilent && (isFresh(state) || state === 'connecting')) announce('silent');
  }, 500);
}

function open() {
  heardAt = performance.now();
  source = new EventSource(lastId ? `/v1/live?last_event_id=${encodeURIComponent(lastId)}` : '/v1/live');
  source.onmessage = message => {
    lastId = message.lastEventId;
    heardAt = performance.now();
    /** @type {LiveEvent} */
    const event = JSON.parse(message.data);
    latest = event;
    hearTime(Date.parse(event.at));
    announce(event.kafka === 'up' ? 'live' : 'away', event);
  };
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

/** @param {LiveState} now @param {LiveEvent} [event] */
function announce(now, event) {
  state = now;
  for (const listener of [...listeners]) listener(event, state);
}
