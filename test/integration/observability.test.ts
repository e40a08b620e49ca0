/** What the running processes say of themselves: metrics, as alerts and panels ask for them; log lines; traces. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alerts, documented, panels } from '../support/monitoring.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { parsePromql } from '../support/promql.ts';
import { readCommitted } from '../support/read-committed.ts';
import { type Series, scrape } from '../support/scrape.ts';
import { eventually } from '../support/wait.ts';

const secret = 'a-password-nobody-may-read';
const traceIds = ['4bf92f3577b34da6a3ce929d0e0e4736', '0af7651916cd43dd8448eb211c80319c'];
const traceparents = traceIds.map(id => `00-${id}-00f067aa0ba902b7-01`);

let pipeline: TestPipeline;
const services = () => ({
  ingest: pipeline.ingest,
  aggregator: pipeline.aggregator,
  sink: pipeline.sink,
  'query-api': pipeline.queryApi,
  jobs: pipeline.jobs,
});

/** So that there is a file that ingest follows. */
const files = mkdtempSync(join(tmpdir(), 'observability-'));
const linkKeys = join(files, 'link-keys.json');

beforeAll(async () => {
  writeFileSync(linkKeys, JSON.stringify({ keys: [{ id: 'one', secret: 'a'.repeat(43) }] }), { mode: 0o600 });
  pipeline = await startTestPipeline({
    INGEST_LINK_KEYS_FILE: linkKeys,
    LOG_LEVEL: 'debug',
    CONSERVATION_INTERVAL_MS: '1000',
    // Read, though nothing asks for it: a broker without SASL.
    KAFKA_PASSWORD: secret,
  });
  const click = { ad_id: 'ad-1', event_id: 'e-1', clicked_at: Date.now() };
  await pipeline.post([click, click, { ad_id: 'no such id!' }]);
  await Promise.all(
    traceparents.map(traceparent =>
      pipeline.post({ ...click, event_id: traceparent }, { 'content-type': 'application/json', traceparent }),
    ),
  );
  await eventually('all is counted, and compared', async () => {
    const { conservation } = await pipeline.get<{
      conservation: { counted: number; rows: { checked_at: string | null } | null };
    }>('/v1/status');
    return conservation.counted === 3 && conservation.rows?.checked_at;
  });
});
afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]();
  rmSync(files, { recursive: true });
});

describe('metrics', () => {
  let series: Series[];
  const exists = (name: string) => series.some(each => each.name === name);

  beforeAll(async () => {
    const asked = [...alerts.map(({ expr }) => expr), ...panels.flatMap(({ exprs }) => exprs)]
      .flatMap(expr => parsePromql(expr).selectors)
      .map(({ metric }) => metric);
    // Some begin with the first commit, insert or comparison.
    series = await eventually('every metric that is asked for', async () => {
      series = (await Promise.all(Object.values(services()).map(({ url }) => scrape(url)))).flat();
      const missing = asked.filter(name => name !== 'up' && !exists(name));
      return missing.length === 0 && series;
    }).catch(() => series);
  });

  /** What Prometheus itself adds to each series of a target. */
  const ofTarget = new Set(['job', 'instance']);

  const problemsOf = (expr: string): string[] => {
    const { selectors, grouping } = parsePromql(expr);
    const ours = selectors.filter(({ metric }) => metric !== 'up');
    const wrong = ours.flatMap(({ metric, matchers }) => {
      const named = series.filter(({ name }) => name === metric);
      if (named.length === 0) return [`no metric ${metric}`];
      return matchers
        .filter(({ label }) => !ofTarget.has(label))
        .filter(({ label, operator, value }) => {
          // What a pattern or an exclusion names need not be there; an exact value must.
          const isThere = (text: string | undefined) => (operator === '=' ? text === value : text !== undefined);
          return !named.some(({ labels }) => isThere(labels[label]));
        })
        .map(({ label, operator, value }) => `${metric} has no ${label}${operator}"${value}"`);
    });
    const labels = new Set(series.filter(({ name }) => ours.some(({ metric }) => metric === name)).flatMap(labelsOf));
    const unknown = grouping.filter(label => !ofTarget.has(label) && !labels.has(label));
    return [...wrong, ...unknown.map(label => `no label ${label}`)];
  };
  const labelsOf = ({ labels }: Series) => Object.keys(labels);

  it.each(alerts)('are there for alert $alert, with the labels it names', ({ expr }) => {
    expect(problemsOf(expr)).toEqual([]);
  });

  it.each(panels)('are there for panel “$title”', ({ exprs }) => {
    expect(exprs.flatMap(problemsOf)).toEqual([]);
  });

  it('are there as the documents name them', () => {
    expect(documented.length).toBeGreaterThan(12);
    const names = new Set(series.map(({ name }) => name.replace(/_(bucket|sum|count)$/, '')));
    expect(documented.filter(name => !names.has(name) && !exists(name))).toEqual([]);
  });

  it('would be missed: a misspelt metric, label or value is noticed', () => {
    expect(problemsOf('adclicks_lag_second > 1')).toEqual(['no metric adclicks_lag_second']);
    expect(problemsOf('sum by (topics) (adclicks_sink_lag_records)')).toEqual(['no label topics']);
    expect(problemsOf('adclicks_jobs_ended_total{state="fail"}')).toHaveLength(1);
    expect(problemsOf('adclicks_jobs_ended_total{status=~".*"}')).toHaveLength(1);
  });

  it('have names with their unit: seconds and bytes, counters that end in _total', async () => {
    const texts = await Promise.all(
      Object.values(services()).map(async ({ url }) => await (await fetch(`${url}/metrics`)).text()),
    );
    const types = texts.flatMap(text => [...text.matchAll(/^# TYPE (adclicks_\w+) (\w+)$/gm)]);
    expect(types.length).toBeGreaterThan(30);
    const wrong = types.filter(([, name = '', type]) => (type === 'counter') !== name.endsWith('_total'));
    expect(wrong.map(([line]) => line)).toEqual([]);
    expect(types.filter(([, name = '']) => /_(ms|milliseconds|kb|mb)(_|$)/.test(name))).toEqual([]);
  });

  it('say how much room there is where the store writes', () => {
    const bytesOf = (name: string) =>
      series.find(each => each.name === name && each.labels['disk'] === 'default')?.value;
    expect(bytesOf('adclicks_disk_free_bytes')).toBeGreaterThan(1e6);
    expect(bytesOf('adclicks_disk_size_bytes')).toBeGreaterThan(bytesOf('adclicks_disk_free_bytes') ?? 0);
  });

  it('count requests by route and status, and strange addresses as one', async () => {
    await Promise.all(['x', 'y', 'z'].map(path => fetch(`${pipeline.ingest.url}/${path}`)));
    const requests = (await scrape(pipeline.ingest.url)).filter(
      ({ name }) => name === 'http_request_duration_seconds_count',
    );
    expect(requests).toContainEqual(
      expect.objectContaining({ value: 3, labels: { method: 'POST', route: '/v1/clicks', status: '202' } }),
    );
    expect(requests.filter(({ labels }) => labels['status'] === '404')).toEqual([
      expect.objectContaining({ value: 3, labels: { method: 'any', route: 'none', status: '404' } }),
    ]);
  });
});

describe('log lines', () => {
  it.each(['ingest', 'aggregator', 'sink', 'query-api', 'jobs'] as const)(
    'of %s are JSON with level, time, service and message',
    name => {
      const lines = services()[name].logs().trim().split('\n');
      expect(lines.length).toBeGreaterThan(2);
      for (const line of lines) {
        const fields = JSON.parse(line);
        expect(fields, line).toMatchObject({ service: name, msg: expect.any(String) });
        expect(['debug', 'info', 'warn', 'error', 'fatal'], line).toContain(fields.level);
        expect(Math.abs(Date.now() - fields.time), line).toBeLessThan(600_000);
      }
    },
  );

  it('hold no secret, though each process tells its whole configuration', () => {
    for (const service of Object.values(services())) {
      expect(service.logs()).toContain('"KAFKA_PASSWORD":"***"');
      expect(service.logs()).not.toContain(secret);
    }
  });
});

describe('a trace', () => {
  it('stands in the record of its clicks, as Kafka’s own client reads it', async () => {
    const lines = await readCommitted(pipeline.broker.brokers, 'clicks', 'traceparent');
    for (const traceparent of traceparents) {
      const own = lines.filter(({ line }) => line.includes(`"event_id":"${traceparent}"`));
      expect(own).toHaveLength(1);
      expect(own[0]?.kind.split(',')).toContain(traceparent);
    }
    const untraced = lines.filter(({ line }) => line.includes('"event_id":"e-1"'));
    expect(untraced.map(({ kind }) => kind)).toEqual(['', '']);
  });

  it.each(traceIds)('leads from the request’s log line to the record the aggregator has read: %s', async traceId => {
    const of = (logs: string) =>
      logs
        .split('\n')
        .filter(line => line.includes(traceId))
        .map(line => JSON.parse(line));
    expect(of(pipeline.ingest.logs())).toMatchObject([{ trace_id: traceId, accepted: 1, msg: 'clicks accepted' }]);
    const [read] = of(pipeline.aggregator.logs());
    expect(read).toMatchObject({ msg: 'traced record read', trace_ids: expect.arrayContaining([traceId]) });
    const [line] = (await readCommitted(pipeline.broker.brokers, 'clicks', 'traceparent')).filter(({ kind }) =>
      kind.includes(traceId),
    );
    expect([read?.partition, read?.offset]).toEqual([line?.partition, line?.offset]);
  });
});
