/** Health of each part, by what it does: an aggregator whose partitions move is alive, whatever its process says. */
import { failedOf, get, getText } from '../api.js';
import { h } from '../dom.js';
import { bytes, counted, duration } from '../format.js';
import { isFresh } from '../live.js';
import { createCard } from './card.js';

/** @import { LiveEvent } from '../api-types.ts' */
/** @import { LiveState } from '../live.js' */

/**
 * ok: true, false, or 'wait': not known now; undefined: a number that is neither.
 * @typedef {readonly [ok: boolean | 'wait' | undefined, text: string]} Told
 * @typedef {readonly [name: string, ...Told]} Line
 *
 * @typedef {{ readonly failed: Readonly<Record<string, string>> }} Readiness
 * @typedef {{ readonly event: LiveEvent | undefined, readonly state: LiveState }} Live
 */

export function createHealth() {
  /** @type {Live} */
  let live = { event: undefined, state: 'connecting' };
  const card = createCard({
    title: 'Health',
    note: 'by what each part does',
    async load(signal) {
      const startedAt = performance.now();
      const [ready, metrics] = await Promise.all([readiness(signal), processMetrics(signal)]);
      const tookMs = performance.now() - startedAt;
      return h('dl', { class: 'pairs' }, linesOf(ready, metrics, tookMs, live).flatMap(pair));
    },
  });
  return {
    ...card,
    /** @param {LiveEvent | undefined} event @param {LiveState} state */
    live(event, state) {
      live = { event: event ?? live.event, state };
    },
  };
}

/**
 * @param {Readiness} readiness
 * @param {ReadonlyMap<string, number>} metrics
 * @param {number} tookMs
 * @param {Live} live
 * @returns {Line[]}
 */
function linesOf({ failed }, metrics, tookMs, { event, state }) {
  const known = isFresh(state) ? event : undefined;
  return [
    ['Kafka', ...kafkaText(known)],
    ['Aggregator', ...aggregatorText(known)],
    ['Sink', !failed['sink'], failed['sink'] ?? 'writes'],
    ['ClickHouse', ...storeText(failed['clickhouse'], state)],
    ['Query API', true, `answers in ${duration(tookMs)}`],
    ['… running for', undefined, duration(Date.now() - 1_000 * (metrics.get('process_start_time_seconds') ?? 0))],
    ['… memory', undefined, bytes(metrics.get('process_resident_memory_bytes') ?? 0)],
    ['… event loop, p99', undefined, duration(1_000 * (metrics.get('nodejs_eventloop_lag_p99_seconds') ?? 0))],
    ['… live listeners', undefined, String(metrics.get('adclicks_query_api_live_clients') ?? 0)],
  ];
}

/** @param {LiveEvent | undefined} event @returns {Told} */
function kafkaText(event) {
  if (!event) return ['wait', 'not known now'];
  return event.kafka === 'up' ? [true, 'answers'] : [false, 'does not answer'];
}

/** @param {string | undefined} failure @param {LiveState} state @returns {Told} */
function storeText(failure, state) {
  if (failure || state === 'down') return [false, failure ?? 'does not answer'];
  return isFresh(state) ? [true, 'answers'] : ['wait', 'not known now'];
}

/** @param {LiveEvent | undefined} event @returns {Told} */
function aggregatorText(event) {
  if (!event || event.watermark_age_ms === null) return ['wait', 'not known now'];
  const { stalled, watermark_age_ms: behind } = event;
  if (stalled.length > 0)
    return [false, counted(stalled.length, 'partition is not counted', 'partitions are not counted')];
  return behind < behindAfterMs ? [true, 'counts all partitions'] : ['wait', `counts, ${duration(behind)} behind`];
}

/** An idle partition gets a tick within seconds, so a watermark this far behind is being caught up with. */
const behindAfterMs = 90_000;

/** @param {Line} line */
function pair([name, ok, text]) {
  const mark = ok === undefined ? '' : h('span', { class: 'dot', 'data-ok': String(ok), 'aria-hidden': 'true' });
  const word = ok === 'wait' ? 'not known: ' : ok ? 'good: ' : 'bad: ';
  const unseen = ok === undefined ? '' : h('span', { class: 'unseen' }, word);
  return [h('dt', {}, mark, name), h('dd', {}, unseen, text)];
}

/** What is not ready is told with a status of its own. @param {AbortSignal} signal @returns {Promise<Readiness>} */
async function readiness(signal) {
  try {
    await get('/readyz', {}, signal);
    return { failed: {} };
  } catch (error) {
    const failed = failedOf(error);
    if (failed) return { failed };
    throw error;
  }
}

/** Samples without labels, by name. @param {AbortSignal} signal @returns {Promise<Map<string, number>>} */
async function processMetrics(signal) {
  const text = await getText('/metrics', signal);
  return new Map(
    [...text.matchAll(/^([a-z0-9_]+) ([0-9.e+-]+)$/gm)].map(([, name = '', value]) => [name, Number(value)]),
  );
}
