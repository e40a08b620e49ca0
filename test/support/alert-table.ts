/** The index of the runbook: every alert, how urgent it is and what it says, from infra/prometheus/alerts.yml. */
import { firstSentence } from './file-map.ts';
import { type Alert, alerts } from './monitoring.ts';

export function alertTable(): string {
  const rows = alerts.map(alert => {
    const { severity } = alert.labels;
    return `| [${alert.alert}](#${alert.alert.toLowerCase()}) | ${severity} | ${saysOf(alert)} |`;
  });
  return ['| alert | urgency | it says |', '| --- | --- | --- |', ...rows].join('\n');
}

/** The summary, with a letter for what Prometheus fills in. */
function saysOf({ annotations }: Alert): string {
  const summary = annotations.summary.replace(/\{\{[^}]*\$labels\.(\w+)[^}]*\}\}/g, '<$1>');
  return `\`${firstSentence(summary.replace(/\{\{[^}]*\}\}/g, '…')).replaceAll('|', '\\|')}\``;
}
