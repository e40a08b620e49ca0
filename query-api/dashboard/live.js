/**
 * One stream of live events for the whole page. A hidden page lets go of it, and takes it up again where it was.
 * Listeners get each event; those who come later get the latest at once.
 */
const listeners = new Set();
let source;
let lastId;
let latest;
let state = 'connecting';

/** Calls `listener(event, state)` with each event and each change of state: live, away (Kafka), down (the database), lost, connecting. Returns how to stop. */
export function listen(listener) {
  listeners.add(listener);
  if (latest) listener(latest, state);
  return () => listeners.delete(listener);
}

export function startLive() {
  open();
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) close();
    else if (!source) open();
  });
}

function open() {
  source = new EventSource(lastId ? `/v1/live?last_event_id=${encodeURIComponent(lastId)}` : '/v1/live');
  source.onmessage = message => {
    lastId = message.lastEventId;
    latest = JSON.parse(message.data);
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
