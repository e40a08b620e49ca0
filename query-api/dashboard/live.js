/**
 * One stream of live events for the whole page. A hidden page lets go of it, and takes it up again where it was.
 * Listeners get each event; those who come later get the latest at once. Where no event comes for longer than three take,
 * that is told, too: a stream that is open says nothing by itself of a store that hangs.
 */
import { hearTime } from './clock.js';

const listeners = new Set();
let source;
let lastId;
let latest;
let state = 'connecting';
let heardAt = performance.now();

/** An event comes each second. */
const silentAfterMs = 3_500;

/**
 * Calls `listener(event, state)` with each event and each change of state: live, silent, away (Kafka), down (the store),
 * lost, connecting; without an event where only the state is new. Returns how to stop.
 */
export function listen(listener) {
  listeners.add(listener);
  if (latest) listener(latest, state);
  return () => listeners.delete(listener);
}

/** Whether what an event told is of now. */
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
    latest = JSON.parse(message.data);
    hearTime(Date.parse(latest.at));
    tell(latest.kafka === 'up' ? 'live' : 'away', latest);
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

function tell(now, event) {
  state = now;
  for (const listener of [...listeners]) listener(event, state);
}
