/**
 * CONTRACT: defines the traces of a record of topic `clicks`, which are in its headers.
 *
 * A record holds the lines of many requests. So header `traceparent` may occur several times, once for each trace
 * context of those requests, up to `maxTraces`. When there is only one, its `tracestate` is added: the headers are then
 * what any tracing client writes and reads. A record whose requests had no trace context has no such headers.
 */
import type { Headers } from '../infra/kafka/record-batch.ts';
import type { TraceContext } from '../infra/trace-context.ts';

/** Of one record; those that came first. */
export const maxTraces = 8;

/** Adds one that is not there yet, as long as there is room. */
export function addTrace(traces: TraceContext[], trace: TraceContext): void {
  if (traces.length < maxTraces && traces.every(each => each.traceparent !== trace.traceparent)) traces.push(trace);
}

/** `traces` of one record, at least one. */
export function headersOf(traces: readonly TraceContext[]): Record<string, string | string[]> {
  const state = traces.length === 1 ? traces[0]?.tracestate : undefined;
  return { traceparent: traces.map(each => each.traceparent), ...(state === undefined ? {} : { tracestate: state }) };
}

/** Whoever writes to Kafka may have put anything there: it is told as far as it looks like a traceparent. */
export function traceIdsOf(headers: Headers | undefined): string[] {
  const given = [headers?.['traceparent'] ?? []].flat().slice(0, maxTraces);
  return given.flatMap(value => /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(value.toString('latin1').slice(0, 64))?.[1] ?? []);
}
