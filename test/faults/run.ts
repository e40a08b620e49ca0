/**
 * The fault bench on real processes, a real broker and a real engine:
 *
 *     npm run faults -- [--short] [--rounds "kill -9,broker"] [--report FILE [--mutations FILE]] [--keep]
 *
 * Ends with code 1 if a promise was broken, or a fault that was to strike did not.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { MutationResult } from '../mutations/noticed-by.ts';
import { fullRounds, shortRound } from './goals.ts';
import { reportOf, summaryOf } from './report.ts';
import { type RoundReport, runRound } from './round.ts';

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '' },
    report: { type: 'string', default: '' },
    mutations: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`npm run faults -- [options]
  --short          one round of about three minutes instead of all (about three quarters of an hour)
  --rounds A,B     only these: ${fullRounds.map(({ name }) => `"${name}"`).join(', ')}
  --report FILE    writes a report in Markdown
  --mutations FILE what "npm run mutations -- --json FILE" has found, for the report
  --keep           keeps logs, ledger and data of rounds that fail`);
  process.exit(0);
}
const wanted = values.rounds.split(',').filter(Boolean);
const unknown = wanted.filter(name => !fullRounds.some(round => round.name === name));
if (unknown.length > 0) throw new Error(`--rounds: there is no round ${unknown.join(', ')}`);
const goals = values.short
  ? [shortRound]
  : fullRounds.filter(({ name }) => wanted.length === 0 || wanted.includes(name));

const planted = values.mutations === '' ? [] : (JSON.parse(readFileSync(values.mutations, 'utf8')) as MutationResult[]);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const scratch = mkdtempSync(join(tmpdir(), 'adclicks-faults-'));
const reports: RoundReport[] = [];
for (const [index, goal] of goals.entries()) {
  const directory = join(scratch, `round-${index}`);
  const report = await runRound(goal, directory, line => console.log(line));
  reports.push(report);
  console.log(summaryOf(report));
  if (report.violations.length === 0 || !values.keep) rmSync(directory, { recursive: true, force: true });
}
const command = `npm run faults${process.argv.slice(2).length > 0 ? ` -- ${process.argv.slice(2).join(' ')}` : ''}`;
if (values.report !== '') writeFileSync(values.report, reportOf(reports, command, planted));
const broken = reports.reduce((sum, { violations }) => sum + violations.length, 0);
if (values.keep && broken > 0) console.log(`kept: ${scratch}`);
else rmSync(scratch, { recursive: true, force: true });
console.log(broken === 0 ? 'every promise held' : `${broken} broken`);
process.exit(broken === 0 ? 0 : 1);
