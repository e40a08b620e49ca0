/**
 * One stream of live events for the whole page. A hidden page lets go of it, and takes it up again where it was.
 * Listeners get each event; those who come later get the latest at once. Where no event comes for longer than three take,
 * that is told, too: a stream that is open says nothing by itself of a store that hangs.
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
/** @type {LiveState} */
let state = 'connecting';
let heardAt = performance.now();

/** An event comes each second. */
const silentAfterMs = 3_500;

/**
 * Calls `listener(event, state)` with each event and each change of state: live, silent, away (Kafka), down (the store),
 * lost, connecting; without an event where only the state is new. Returns how to stop.
 * @param {LiveListener} listener
 */
export function listen(listener) {
  listeners.add(listener);
  if (latest) listener(latest, state);
  return () => listeners.delete(listener);
}

/** Whether what an event told is of now. @param {LiveState} now */
export const isFresh = now => now === 'live' || now === 'away';

export function startLive() {
  open();
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) close();
    else if (!source) {
      tell('connecting');
      open();
    }
  });
  setInterval(() => {
    const isSilent = performance.now() - heardAt > silentAfterMs;
    if (source && isSilent && (isFresh(state) || state === 'connecting')) tell('silent');
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
    tell(event.kafka === 'up' ? 'live' : 'away', event);
  };
  source.addEventListener('unavailable', () => tell('down'));
  source.onerror = () => {
    tell('lost');
    // Refused with an answer (as many listen as may): the browser does not try again by itself.
    if (source?.readyState !== EventSource.CLOSED) return;
    source = undefined;
    setTimeout(() => {
      if (!source && !document.hidden) open();
    }, 5_000);
  };
}

function close() {
  source?.close();
  source = undefined;
}

/** @param {LiveState} now @param {LiveEvent} [event] */
function tell(now, event) {
  state = now;
  for (const listener of [...listeners]) listener(event, state);
}
