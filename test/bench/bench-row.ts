/** What every benchmark prints in the end, for people and (`--json FILE`) for programs. */
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

/** `ratio` is `value` by the value of what `ratio_to` names, measured in the same run. */
export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly ratio_to: string | null;
  readonly ratio: number | null;
}

export function rowOf(name: string, value: number, unit: string, to?: { name: string; value: number }): BenchRow {
  return { name, value, unit, ratio_to: to?.name ?? null, ratio: to === undefined ? null : value / to.value };
}

export function tell(rows: readonly BenchRow[], jsonFile: string | undefined): void {
  console.log(tableOf(rows));
  if (jsonFile !== undefined) writeFileSync(jsonFile, `${JSON.stringify(rows, null, 2)}\n`);
}

/** Markdown, as it stands in RESULTS.md. */
export function tableOf(rows: readonly BenchRow[]): string {
  const cells = rows.map(({ name, value, unit, ratio_to, ratio }) => [
    name,
    shown(value),
    unit,
    ratio === null ? '' : `${ratio.toFixed(2)} × ${ratio_to}`,
  ]);
  const lines = [['what', 'value', 'unit', 'beside'], ['---', '---:', '---', '---'], ...cells];
  return lines.map(line => `| ${line.join(' | ')} |`).join('\n');
}

export function machineLine(): string {
  const [first] = cpus();
  return `${cpus().length} × ${first?.model.trim() ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function shown(value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) >= 100 ? 0 : 2);
}
