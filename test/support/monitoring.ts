/** Alerts, panels and the metrics that documents name, as they are committed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook: string };
}

export interface Panel {
  readonly title: string;
  readonly exprs: readonly string[];
  readonly unit: string | undefined;
}

interface DashboardJson {
  readonly panels: readonly {
    readonly type: string;
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
    readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  }[];
}

const textOf = (file: string) => readFileSync(join(import.meta.dirname, '../..', file), 'utf8');

const rules: { groups: { rules: Alert[] }[] } = parse(textOf('infra/prometheus/alerts.yml'));
export const alerts: readonly Alert[] = rules.groups.flatMap(group => group.rules);

const dashboard: DashboardJson = JSON.parse(textOf('infra/grafana/dashboards/pipeline.json'));
export const panels: readonly Panel[] = dashboard.panels
  .filter(({ type }) => type !== 'row')
  .map(({ title, targets = [], fieldConfig }) => ({
    title,
    exprs: targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '5m')),
    unit: fieldConfig?.defaults.unit,
  }));

/** Metrics that documents explain, without what stands in braces behind them, and without the generated list of all. */
export const documented: readonly string[] = ['README.md', 'infra/metrics.md', 'infra/runbook.md', 'infra/README.md']
  .map(file => textOf(file).replace(/<!-- docs:[\s\S]*?<!-- \/docs -->/g, ''))
  .flatMap(text => [...text.matchAll(/`(adclicks_\w+|http_request_duration_seconds)/g)])
  .flatMap(([, name]) => (name === undefined ? [] : [name]));
