import { describe, expect, it } from 'vitest';
import type { TraceContext } from '../../../infra/trace-context.ts';
import { ClickBuffer } from '../../../ingest/click-buffer.ts';
import { ClickLines } from '../../../ingest/click-lines.ts';
import { clickHeaders } from '../../../ingest/click-records.ts';
import { maxTraces, traceIdsOf } from '../../../ingest/record-traces.ts';
import { click } from '../../support/clicks.ts';

const idOf = (n: number) => n.toString(16).padStart(32, '0');
const trace = (n: number, tracestate?: string): TraceContext => {
  const traceparent = `00-${idOf(n)}-00f067aa0ba902b7-01`;
  return { traceId: idOf(n), traceparent, ...(tracestate === undefined ? {} : { tracestate }) };
};

/** The headers of the records that requests with these traces make, for one partition, `perRecord` requests to each. */
function headersOf(traces: readonly (TraceContext | undefined)[], perRecord = 1_000) {
  const lines = new ClickLines();
  lines.add(click());
  const buffer = new ClickBuffer(perRecord * lines.end);
  for (const each of traces) buffer.add(lines, [0], { settled: false, trace: each });
  return buffer.take(0).records.map(record => record.headers);
}

describe('a record', () => {
  it('has no trace where no request brought one', () => {
    expect(headersOf([undefined, undefined])).toEqual([clickHeaders]);
  });

  it('has the context of its one traced request whole', () => {
    expect(headersOf([undefined, trace(1, 'rojo=1'), undefined])).toEqual([
      { ...clickHeaders, traceparent: [trace(1).traceparent], tracestate: 'rojo=1' },
    ]);
  });

  it('has each context once, without the state of any of them', () => {
    expect(headersOf([trace(1, 'rojo=1'), trace(2), trace(1, 'rojo=1')])).toEqual([
      { ...clickHeaders, traceparent: [trace(1).traceparent, trace(2).traceparent] },
    ]);
  });

  it('has the first eight, however many there are', () => {
    const [headers] = headersOf(Array.from({ length: 500 }, (_, i) => trace(i + 1)));
    expect(headers?.['traceparent']).toEqual(Array.from({ length: maxTraces }, (_, i) => trace(i + 1).traceparent));
  });

  it('has only those of its own lines', () => {
    expect(headersOf([trace(1), trace(2), undefined, trace(3)], 1)).toEqual([
      { ...clickHeaders, traceparent: [trace(1).traceparent] },
      { ...clickHeaders, traceparent: [trace(2).traceparent] },
      clickHeaders,
      { ...clickHeaders, traceparent: [trace(3).traceparent] },
    ]);
  });
});

describe('trace ids of a record', () => {
  it('are read back, one or several', () => {
    expect(traceIdsOf({ traceparent: Buffer.from(trace(1).traceparent) })).toEqual([idOf(1)]);
    const both = [trace(1), trace(2)].map(({ traceparent }) => Buffer.from(traceparent));
    expect(traceIdsOf({ traceparent: both })).toEqual([idOf(1), idOf(2)]);
  });

  it('are none of what others may have put there', () => {
    expect(traceIdsOf(undefined)).toEqual([]);
    expect(traceIdsOf({ kind: 'tick' })).toEqual([]);
    expect(traceIdsOf({ traceparent: [Buffer.from([0, 255]), 'x'.repeat(1_000), ''] })).toEqual([]);
    expect(traceIdsOf({ traceparent: Array.from({ length: 99 }, () => trace(1).traceparent) })).toHaveLength(maxTraces);
  });
});
