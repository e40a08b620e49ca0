/** The alerts as text: complete, tried, and PromQL. That their metrics exist is in test/integration/observability.test.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { alerts, panels } from '../../support/monitoring.ts';
import { parsePromql } from '../../support/promql.ts';

const root = join(import.meta.dirname, '../../..');
const read = (file: string) => parse(readFileSync(join(root, file), 'utf8'));

describe('alerts', () => {
  it.each(alerts)('$alert says how urgent it is, what is wrong and what it means', ({ labels, annotations }) => {
    expect(['page', 'ticket']).toContain(labels.severity);
    expect(annotations.summary.length).toBeGreaterThan(10);
    expect(annotations.description).toMatch(/[.a-z]$/);
  });

  it('are each tried at rest and in need (promtool test rules infra/prometheus/alerts.test.yml)', () => {
    const { tests }: { tests: { promql_expr_test: { expr: string; exp_samples: object[] }[] }[] } = read(
      'infra/prometheus/alerts.test.yml',
    );
    const tried = (fires: boolean) =>
      new Set(
        tests
          .flatMap(test => test.promql_expr_test)
          .filter(({ exp_samples }) => exp_samples.length > 0 === fires)
          .map(({ expr }) => /alertname="(\w+)"/.exec(expr)?.[1]),
      );
    const names = new Set(alerts.map(({ alert }) => alert));
    expect(tried(true)).toEqual(names);
    expect(tried(false)).toEqual(names);
  });

  it('name each one once', () => {
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
  });
});

describe('scraping', () => {
  it.each(['prometheus.yml', 'local.yml'])('%s loads the alerts, and knows each job they name', file => {
    const { rule_files, scrape_configs } = read(`infra/prometheus/${file}`);
    expect(rule_files).toEqual(['alerts.yml']);
    const jobs = scrape_configs.map(({ job_name }: { job_name: string }) => job_name);
    const named = alerts
      .flatMap(({ expr }) => parsePromql(expr).selectors)
      .flatMap(({ matchers }) => matchers.filter(({ label }) => label === 'job').map(({ value }) => value));
    expect(new Set(named)).toEqual(new Set(['ingest', 'aggregator', 'jobs']));
    expect(jobs).toEqual(expect.arrayContaining([...new Set(named)]));
  });
});

describe('panels', () => {
  it.each(panels)('$title asks in PromQL, with a unit', ({ exprs, unit }) => {
    expect(exprs.length).toBeGreaterThan(0);
    for (const expr of exprs) expect(parsePromql(expr).selectors.length).toBeGreaterThan(0);
    expect(unit).toBeTruthy();
  });
});
