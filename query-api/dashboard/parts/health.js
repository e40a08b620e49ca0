/** Health of each part, by what it does: an aggregator whose partitions move is alive, whatever its process says. */
import { get, getText } from '../api.js';
import { h } from '../dom.js';
import { bytes, counted, duration, shortTime } from '../format.js';
import { isFresh } from '../live.js';
import { createCard } from './card.js';

export function createHealth() {
  let live = { event: undefined, state: 'connecting' };
  let runner;
  const card = createCard({
    title: 'Health',
    note: 'by what each part does',
    async load(signal) {
      const startedAt = performance.now();
      const [ready, metrics] = await Promise.all([readiness(signal), processMetrics(signal)]);
      const tookMs = performance.now() - startedAt;
      return h('dl', { class: 'pairs' }, linesOf(ready, metrics, tookMs, live, runner).flatMap(pair));
    },
  });
  return {
    ...card,
    live(event, state) {
      live = { event: event ?? live.event, state };
    },
    /** Who restates and reconciles, as the status tells it; null: nobody has yet. */
    jobs(told) {
      runner = told;
    },
  };
}

/** `[name, ok, text]`; ok: true, false, or 'wait': not known now. */
function linesOf({ failed }, metrics, tookMs, { event, state }, runner) {
  const known = isFresh(state) ? event : undefined;
  return [
    ['Kafka', ...kafkaText(known)],
    ['Aggregator', ...aggregatorText(known, metrics.get('unwritten'))],
    ['Sink', ...sinkText(known, metrics.get('unwritten'), failed.sink)],
    ['Job runner', ...runnerText(runner)],
    ['ClickHouse', ...storeText(failed, state)],
    ['Query API', true, `answers in ${duration(tookMs)}`],
    ['… running for', undefined, duration(Date.now() - 1_000 * (metrics.get('process_start_time_seconds') ?? 0))],
    ['… memory', undefined, bytes(metrics.get('process_resident_memory_bytes') ?? 0)],
    ['… event loop, p99', undefined, duration(1_000 * (metrics.get('nodejs_eventloop_lag_p99_seconds') ?? 0))],
    ['… live listeners', undefined, String(metrics.get('adclicks_query_api_live_clients') ?? 0)],
  ];
}

function kafkaText(event) {
  if (!event) return ['wait', 'not known now'];
  return event.kafka === 'up' ? [true, 'answers'] : [false, 'does not answer'];
}

/** Without one late clicks wait, and nothing is compared. */
function runnerText(runner) {
  if (runner === undefined) return ['wait', 'not known now'];
  if (runner === null) return [false, 'nobody has run jobs yet'];
  const { host, since, seen_at, runs } = runner;
  return runs ? [true, `${host}, since ${shortTime(since)}`] : [false, `not heard of since ${shortTime(seen_at)}`];
}

function storeText({ clickhouse }, state) {
  if (clickhouse || state === 'down') return [false, clickhouse ?? 'does not answer'];
  return isFresh(state) ? [true, 'answers'] : ['wait', 'not known now'];
}

/**
 * Counts stand still in the store where the aggregator does not count, and where the sink does not write: `unwritten`, the
 * records of counts that it has not written, tells which of them it is. Undefined: not known.
 */
export function aggregatorText(event, unwritten) {
  if (!event || event.watermark_age_ms === null) return ['wait', 'not known now'];
  const { stalled, watermark_age_ms: behind } = event;
  if (stalled.length > 0 && unwritten > 0) return ['wait', 'not known while the sink does not write'];
  if (stalled.length > 0)
    return [false, counted(stalled.length, 'partition is not counted', 'partitions are not counted')];
  return behind < behindAfterMs ? [true, 'counts all partitions'] : ['wait', `counts, ${duration(behind)} behind`];
}

export function sinkText(event, unwritten, failed) {
  if (failed) return [false, failed];
  if (unwritten === undefined) return ['wait', 'not known now'];
  if (unwritten === 0) return [true, 'has written all counts'];
  const records = counted(unwritten, 'record of counts', 'records of counts');
  if (event?.stalled.length > 0) return [false, `does not write: ${records} behind`];
  return [event?.watermark_age_ms > behindAfterMs ? 'wait' : true, `writes, ${records} behind`];
}

/** An idle partition gets a tick within seconds, so a watermark this far behind is being caught up with. */
const behindAfterMs = 90_000;

function pair([name, ok, text]) {
  const mark = ok === undefined ? '' : h('span', { class: 'dot', 'data-ok': String(ok), 'aria-hidden': 'true' });
  const words = { true: 'good: ', false: 'bad: ', wait: 'not known: ' };
  const unseen = ok === undefined ? '' : h('span', { class: 'unseen' }, words[String(ok)]);
  return [h('dt', {}, mark, name), h('dd', {}, unseen, text)];
}

/** What is not ready is told with a status of its own. */
async function readiness(signal) {
  try {
    await get('/readyz', {}, signal);
    return { failed: {} };
  } catch (error) {
    if (error.body?.failed) return { failed: error.body.failed };
    throw error;
  }
}

/** Samples without labels, by name, and `unwritten`: records of counts that sinks have not written yet. */
async function processMetrics(signal) {
  const text = await getText('/metrics', signal);
  const metrics = [...text.matchAll(/^([a-z0-9_]+) ([0-9.e+-]+)$/gm)].map(([, name, value]) => [name, Number(value)]);
  const lags = [...text.matchAll(/^adclicks_sink_lag_records\{[^}]*topic="aggregates"[^}]*\} ([0-9.e+-]+)$/gm)];
  const unwritten = lags.length === 0 ? undefined : lags.reduce((sum, [, value]) => sum + Number(value), 0);
  return new Map([...metrics, ['unwritten', unwritten]]);
}
