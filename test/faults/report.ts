/** What a run of the fault bench has shown, for people. */
import { cpus, totalmem } from 'node:os';
import type { MutationResult } from '../mutations/noticed-by.ts';
import type { RoundReport } from './round.ts';
import { stepPoints } from './step-points.ts';

export function summaryOf(report: RoundReport): string {
  const { name, kills, zombies, lostAnswers, cuts, others, acked, unknown, refused, raw, violations } = report;
  const cutReplies = sum(cuts);
  return [
    `${name}: ${kills} kills, ${zombies} zombies, ${lostAnswers} lost answers, ${cutReplies} cut replies, ${listOf(others)}`,
    `  ${acked} clicks acked, ${unknown} unknown, ${refused} refused, ${raw} rows in raw, counted ${report.healSeconds} s after the storm`,
    ...report.notes.map(note => `  ${note}`),
    ...report.exits.map(exit => `  by itself: ${exit}`),
    violations.length === 0 ? '  every promise held' : violations.map(text => `  BROKEN ${text}`).join('\n'),
  ].join('\n');
}

export function reportOf(reports: readonly RoundReport[], command: string, planted: readonly MutationResult[]): string {
  const total = (of: (report: RoundReport) => number) => reports.reduce((all, report) => all + of(report), 0);
  const broken = reports.flatMap(({ name, violations }) => violations.map(text => `- ${name}: ${text}`));
  const bounces = (report: RoundReport) =>
    (report.others.get('broker killed') ?? 0) + (report.others.get('broker stopped') ?? 0);
  return `# Fault bench: report

${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC · \`${command}\` · ${cpus().length} CPUs (${cpus()[0]?.model ?? '?'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}

**${broken.length === 0 ? '0 lost, 0 doubled, every promise held' : `${broken.length} promises BROKEN`}** over ${total(r => r.kills)} kills (\`kill -9\`), ${total(r => r.zombies)} zombies
(SIGSTOP past every session timeout), ${total(bounces)} broker bounces, ${total(r => sum(r.cuts))} replies cut after the work was done, ${total(r => r.lostAnswers)} lost answers of the
store: ${total(r => r.acked)} clicks acknowledged, ${total(r => r.unknown)} of unknown fate, ${total(r => r.refused)} refused; ${Math.round(total(r => r.seconds) / 60)} minutes.
${broken.length === 0 ? '' : `\n${broken.join('\n')}\n`}
A fault counts only if it struck while clicks were on their way. With no failure in n kills, a kill loses or doubles a click
with a probability below 3/n (95 %): here ${(
    (100 * 3) /
      Math.max(
        1,
        total(r => r.kills),
      )
  ).toFixed(1)} %.

## Rounds

| round | min | kills | zombies | bounces | cut replies | acked | unknown | raw rows | duplicates | too late | answers read | counted after | broken |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
${reports
  .map(r => {
    const cells = [
      r.name,
      (r.seconds / 60).toFixed(1),
      r.kills,
      r.zombies,
      bounces(r),
      sum(r.cuts),
      r.acked,
      r.unknown,
      r.raw,
      r.duplicates,
      r.tooLate,
      r.answersRead,
      `${r.healSeconds} s`,
      r.violations.length,
    ];
    return `| ${cells.join(' | ')} |`;
  })
  .join('\n')}

Other faults: ${listOf(merged(reports.map(r => r.others)))}.

${reports.flatMap(r => r.notes.map(note => `- ${r.name}: ${note}`)).join('\n')}

Replies cut, by request: ${listOf(merged(reports.map(r => r.cuts)))}.

Processes that ended by themselves and were started again: ${total(r => r.exits.length)}.
${reports.flatMap(r => r.exits.map(exit => `- ${r.name}: \`${exit.slice(0, 200).replaceAll('`', "'")}\``)).join('\n')}

## Step-points

| step-point | kill | stop | lost answer |
| --- | --- | --- | --- |
${stepRows(merged(reports.map(r => r.hits)))}
${plantedOf(planted)}`;
}

function stepRows(hits: ReadonlyMap<string, number>): string {
  const names = [
    ...stepPoints.map(({ name }) => name),
    'ingest: anywhere',
    'aggregator: anywhere',
    'sink: anywhere',
    'restatement: anywhere',
  ];
  const anywhere = [...hits.keys()].map(key => key.split(', ')[0] ?? '').filter(name => name.endsWith(': anywhere'));
  return [...new Set([...names, ...anywhere])]
    .map(name => {
      const cells = ['kill', 'stop', 'fail'].map(action => hits.get(`${name}, ${action}`) ?? '');
      return `| ${name} | ${cells.join(' | ')} |`;
    })
    .join('\n');
}

function plantedOf(planted: readonly MutationResult[]): string {
  if (planted.length === 0) return '';
  const noticed = planted.filter(({ noticedBy }) => noticedBy.length > 0).length;
  const rows = planted.map(({ name, bug, noticedBy }) => {
    const [first, ...others] = noticedBy.map(({ suite, what }) => `${suite}: ${what}`);
    const more = others.length === 0 ? '' : `; and ${others.length} more`;
    return `| ${name} | ${bug} | ${first === undefined ? '**nothing**' : first.replaceAll('|', '/')}${more} |`;
  });
  return `
## Planted bugs

${noticed} of ${planted.length} noticed (\`npm run mutations\`).

| name | bug | noticed by |
| --- | --- | --- |
${rows.join('\n')}
`;
}

function merged(maps: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const map of maps) for (const [key, count] of map) all.set(key, (all.get(key) ?? 0) + count);
  return all;
}

function sum(counts: ReadonlyMap<string, number>): number {
  return counts.values().reduce((a, b) => a + b, 0);
}

function listOf(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, count]) => `${count} × ${what}`).join(', ') || 'none';
}
