/** The health of each part, judged by its work: an aggregator whose partitions move is alive, whatever its process reports. */
import { failedOf, get, getText } from '../api.js';
import { serverTime } from '../clock.js';
import { h } from '../dom.js';
import { bytes, counted, duration, shortTime } from '../format.js';
import { isFresh } from '../live.js';
import { createCard } from './card.js';

/** @import { LiveEvent, StatusAnswer } from '../api-types.ts' */
/** @import { LiveState } from '../live.js' */

/**
 * `ok` is true, false, or 'wait' if it is not known or not good yet. It is undefined for a number that is neither good nor bad.
 * @typedef {readonly [ok: boolean | 'wait' | undefined, text: string]} Verdict
 * @typedef {readonly [name: string, ...Verdict]} Line
 *
 * @typedef {StatusAnswer['job_runner']} Runner
 * @typedef {ReadonlyMap<string, number | undefined>} Metrics
 *
 * @typedef {{ readonly failed: Readonly<Record<string, string>> }} Readiness
 * @typedef {{ readonly event: LiveEvent | undefined, readonly state: LiveState }} Live
 */

export function createHealth() {
  /** @type {Live} */
  let live = { event: undefined, state: 'connecting' };
  /** @type {Runner | undefined} */
  let runner;
  const card = createCard({
    title: 'Health',
    width: 'w4',
    note: 'judged by the work of each part',
    async load(signal) {
      const startedAt = performance.now();
      const [ready, metrics] = await Promise.all([readiness(signal), processMetrics(signal)]);
      const tookMs = performance.now() - startedAt;
      return h('dl', { class: 'pairs' }, linesOf(ready, metrics, tookMs, live, runner).flatMap(pair));
    },
  });
  return {
    ...card,
    /** @param {LiveEvent | undefined} event @param {LiveState} state */
    live(event, state) {
      live = { event: event ?? live.event, state };
    },
    /** Takes the job runner of the status. It is null if none has ever run. @param {Runner} now */
    jobs(now) {
      runner = now;
    },
  };
}

/**
 * @param {Readiness} readiness
 * @param {Metrics} metrics
 * @param {number} tookMs
 * @param {Live} live
 * @param {Runner | undefined} runner
 * @returns {Line[]}
 */
function linesOf({ failed }, metrics, tookMs, { event, state }, runner) {
  /** @param {string} name @param {string} metric @param {(value: number) => string} shown @returns {Line} */
  const measured = (name, metric, shown) => {
    const value = metrics.get(metric);
    return [`Query API: ${name}`, undefined, value === undefined ? 'not known' : shown(value)];
  };
  const known = isFresh(state) ? event : undefined;
  return [
    ['Kafka', ...kafkaText(known)],
    ['Aggregator', ...aggregatorText(known, metrics.get('unwritten'))],
    ['Sink', ...sinkText(known, metrics.get('unwritten'), failed['sink'])],
    ['Job runner', ...runnerText(runner)],
    ['ClickHouse', ...storeText(failed['clickhouse'], state)],
    ['Query API', true, `answers in ${duration(tookMs)}`],
    measured('up for', 'process_start_time_seconds', started => duration(serverTime() - 1_000 * started)),
    measured('memory', 'process_resident_memory_bytes', bytes),
    measured('event loop delay (p99)', 'nodejs_eventloop_lag_p99_seconds', seconds => duration(1_000 * seconds)),
    measured('live listeners', 'adclicks_query_api_live_clients', String),
  ];
}

/** @type {Verdict} */
const notKnown = ['wait', 'not known at the moment'];

/** @param {LiveEvent | undefined} event @returns {Verdict} */
function kafkaText(event) {
  if (!event) return notKnown;
  return event.kafka === 'up' ? [true, 'answers'] : [false, 'does not answer'];
}

/** Without a job runner late clicks keep waiting, and nothing is compared. @param {Runner | undefined} runner @returns {Verdict} */
function runnerText(runner) {
  if (runner === undefined) return notKnown;
  if (runner === null) return [false, 'none has ever run'];
  const { host, since, seen_at, runs } = runner;
  return runs ? [true, `runs on ${host} since ${shortTime(since)}`] : [false, `last seen ${shortTime(seen_at)}`];
}

/** @param {string | undefined} failure @param {LiveState} state @returns {Verdict} */
function storeText(failure, state) {
  if (failure || state === 'down') return [false, failure ?? 'does not answer'];
  return isFresh(state) ? [true, 'answers'] : notKnown;
}

/**
 * The counts in the store stand still if the aggregator does not count, and also if the sink does not write. `unwritten`, the
 * number of records that the sink has still to write, shows which of the two it is. Undefined is not known.
 * @param {LiveEvent | undefined} event
 * @param {number | undefined} unwritten
 * @returns {Verdict}
 */
export function aggregatorText(event, unwritten) {
  if (!event || event.watermark_age_ms === null) return notKnown;
  const { stalled, watermark_age_ms: behind } = event;
  if (stalled.length > 0 && unwritten !== undefined && unwritten > 0)
    return ['wait', 'not known while the sink does not write'];
  if (stalled.length > 0)
    return [false, counted(stalled.length, 'partition is not counted', 'partitions are not counted')];
  return behind < behindAfterMs ? [true, 'counts all partitions'] : ['wait', `counts, ${duration(behind)} behind`];
}

/**
 * @param {LiveEvent | undefined} event
 * @param {number | undefined} unwritten
 * @param {string | undefined} failed
 * @returns {Verdict}
 */
export function sinkText(event, unwritten, failed) {
  if (failed) return [false, failed];
  if (unwritten === undefined) return notKnown;
  if (unwritten === 0) return [true, 'has written all counts'];
  const records = counted(unwritten, 'record of counts', 'records of counts');
  if (event && event.stalled.length > 0) return [false, `does not write: ${records} behind`];
  return [(event?.watermark_age_ms ?? 0) > behindAfterMs ? 'wait' : true, `writes, ${records} behind`];
}

/** An idle partition gets a tick within seconds. So a watermark that is older than this means that clicks wait to be counted. */
const behindAfterMs = 90_000;

/** @param {Line} line */
function pair([name, ok, text]) {
  const mark = ok === undefined ? '' : h('span', { class: 'dot', 'data-ok': String(ok), 'aria-hidden': 'true' });
  const word = ok === 'wait' ? 'warning: ' : ok ? 'good: ' : 'bad: ';
  const unseen = ok === undefined ? '' : h('span', { class: 'unseen' }, word);
  return [h('dt', {}, mark, name), h('dd', {}, unseen, text)];
}

/** GET /readyz answers with an error status if a part is not ready. @param {AbortSignal} signal @returns {Promise<Readiness>} */
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

/**
 * The samples without labels by name, and `unwritten`: the records of counts that the sinks have not written yet.
 * @param {AbortSignal} signal
 * @returns {Promise<Metrics>}
 */
async function processMetrics(signal) {
  const text = await getText('/metrics', signal);
  /** @type {Map<string, number | undefined>} */
  const metrics = new Map();
  for (const [, name = '', value] of text.matchAll(/^([a-z0-9_]+) ([0-9.e+-]+)$/gm)) metrics.set(name, Number(value));
  const lags = [...text.matchAll(/^adclicks_sink_lag_records\{[^}]*topic="aggregates"[^}]*\} ([0-9.e+-]+)$/gm)];
  const unwritten = lags.length === 0 ? undefined : lags.reduce((sum, [, value]) => sum + Number(value), 0);
  return metrics.set('unwritten', unwritten);
}
