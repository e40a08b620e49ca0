/**
 * CONTRACT: defines the traces of a record of topic `clicks`, which are in its headers.
 *
 * A record holds the lines of many requests. So header `traceparent` may occur several times, once for each trace
 * context of those requests, up to `maxTraces`. When there is only one, its `tracestate` is added: the headers are then
 * what any tracing client writes and reads. A record whose requests had no trace context has no such headers.
 */
import type { Headers } from '../infra/kafka/record-batch.ts';
import type { TraceContext } from '../infra/trace-context.ts';

/** The highest number of traces in one record. The first ones are kept. */
export const maxTraces = 8;

/** Adds a trace that is not there yet, while there is room. */
export function addTrace(traces: TraceContext[], trace: TraceContext): void {
  if (traces.length < maxTraces && traces.every(each => each.traceparent !== trace.traceparent)) traces.push(trace);
}

/** `traces` are those of one record. There is at least one. */
export function headersOf(traces: readonly TraceContext[]): Record<string, string | string[]> {
  const state = traces.length === 1 ? traces[0]?.tracestate : undefined;
  return { traceparent: traces.map(each => each.traceparent), ...(state === undefined ? {} : { tracestate: state }) };
}

/** Any producer may have put anything into these headers. Only what looks like a traceparent is returned. */
export function traceIdsOf(headers: Headers | undefined): string[] {
  const given = [headers?.['traceparent'] ?? []].flat().slice(0, maxTraces);
  return given.flatMap(value => /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(value.toString('latin1').slice(0, 64))?.[1] ?? []);
}
