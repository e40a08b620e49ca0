/** Who is well, by what they do: an aggregator whose watermark moves is alive, whatever its process says. */
import { h } from '../dom.js';
import { bytes, duration } from '../format.js';
import { createCard } from './card.js';

export function createHealth() {
  let live = { event: undefined, state: 'connecting' };
  const card = createCard({
    title: 'Health',
    note: 'by what each does',
    async load(signal) {
      const startedAt = performance.now();
      const [ready, metrics] = await Promise.all([readiness(signal), processMetrics(signal)]);
      const tookMs = performance.now() - startedAt;
      return h('dl', { class: 'pairs' }, linesOf(ready, metrics, tookMs, live).flatMap(pair));
    },
  });
  return {
    element: card.element,
    refresh: card.refresh,
    live(event, state) {
      live = { event: event ?? live.event, state };
    },
  };
}

/** `[name, ok, text]`; ok: true, false, or 'wait'. */
function linesOf({ failed }, metrics, tookMs, { event, state }) {
  const behind = event?.watermark_age_ms ?? null;
  const counts = behind === null ? 'wait' : behind < stalledMs;
  return [
    [
      'Kafka',
      event ? event.kafka === 'up' : 'wait',
      event ? (event.kafka === 'up' ? 'answers' : 'does not answer') : 'not known',
    ],
    ['Aggregator', counts, watermarkText(behind)],
    ['Sink', !failed.sink, failed.sink ?? 'writes'],
    ['ClickHouse', !failed.clickhouse && state !== 'down', failed.clickhouse ?? 'answers'],
    ['Query API', true, `answers in ${duration(tookMs)}`],
    ['… running for', undefined, duration(Date.now() - 1_000 * (metrics.get('process_start_time_seconds') ?? 0))],
    ['… memory', undefined, bytes(metrics.get('process_resident_memory_bytes') ?? 0)],
    ['… event loop, p99', undefined, duration(1_000 * (metrics.get('nodejs_eventloop_lag_p99_seconds') ?? 0))],
    ['… live listeners', undefined, String(metrics.get('adclicks_query_api_live_clients') ?? 0)],
  ];
}

function watermarkText(behind) {
  if (behind === null) return 'not known';
  return behind < stalledMs ? 'watermark moves' : `watermark ${duration(behind)} behind`;
}

/** An idle partition gets a tick within seconds, so a watermark this far behind has stopped or is catching up. */
const stalledMs = 90_000;

function pair([name, ok, text]) {
  const mark = ok === undefined ? '' : h('span', { class: 'dot', 'data-ok': String(ok), 'aria-hidden': 'true' });
  const unseen = ok === undefined ? '' : h('span', { class: 'unseen' }, ok === true ? 'well: ' : 'not well: ');
  return [h('dt', {}, mark, name), h('dd', {}, unseen, text)];
}

async function readiness(signal) {
  const response = await fetch('/readyz', { signal, cache: 'no-store' });
  const body = await response.json();
  return { failed: body.failed ?? {} };
}

/** Samples without labels, by name. */
async function processMetrics(signal) {
  const text = await (await fetch('/metrics', { signal, cache: 'no-store' })).text();
  return new Map([...text.matchAll(/^([a-z0-9_]+) ([0-9.e+-]+)$/gm)].map(([, name, value]) => [name, Number(value)]));
}
