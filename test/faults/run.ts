/**
 * The fault bench on real processes, a real broker (or three) and a real ClickHouse:
 *
 *     npm run faults -- [--short] [--rounds "kill -9,broker" | --rounds cluster | --rounds nodes] [--report FILE [--mutations FILE]] [--keep]
 *
 * Ends with code 1 if a promise was broken, or a fault that was to strike did not.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { MutationResult } from '../mutations/noticed-by.ts';
import { clusterSectionOf, clusterSummaryOf, sectionTitle } from './cluster/report.ts';
import { clusterRounds } from './cluster/rounds.ts';
import { type ClusterReport, runClusterRound } from './cluster/run-round.ts';
import { fullRounds, shortRound } from './goals.ts';
import { nodesSectionOf, nodesSummaryOf, nodesTitle } from './nodes/report.ts';
import { nodesRounds, withTopology } from './nodes/rounds.ts';
import { type NodesReport, runNodesRound } from './nodes/run-round.ts';
import { reportOf, summaryOf } from './report.ts';
import { type RoundReport, runRound } from './round.ts';
import { sectionIn, withSection } from './section.ts';
import { canMountSmallDisk } from './small-disk.ts';

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '' },
    report: { type: 'string', default: '' },
    mutations: { type: 'string', default: '' },
    topology: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`npm run faults -- [options]
  --short          one round of about three minutes instead of all (about three quarters of an hour)
  --rounds A,B     only these: ${fullRounds.map(({ name }) => `"${name}"`).join(', ')};
                   on three brokers: "cluster" for all of ${clusterRounds.map(({ name }) => `"${name}"`).join(', ')};
                   on several ClickHouse nodes: ${nodesRounds.map(({ name }) => `"${name}"`).join(', ')}
  --topology SxR   of the latter: shards x replicas; default: 2x2
  --report FILE    writes a report in Markdown; rounds on three brokers, and those on several ClickHouse nodes, are sections
                   of it, and leave the rest as it is
  --mutations FILE what "npm run mutations -- --json FILE" has found, for the report
  --keep           keeps logs, ledger and data of rounds that fail`);
  process.exit(0);
}
const wanted = values.rounds.split(',').filter(Boolean);
const names = ['cluster', ...[...fullRounds, ...clusterRounds, ...nodesRounds].map(({ name }) => name)];
const unknown = wanted.filter(name => !names.includes(name));
if (unknown.length > 0) throw new Error(`--rounds: there is no round ${unknown.join(', ')}`);
const goals = values.short
  ? [shortRound]
  : fullRounds.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
const onClusters = clusterRounds.filter(({ name }) => wanted.includes('cluster') || wanted.includes(name));

const onNodes = nodesRounds
  .filter(({ name }) => wanted.includes(name))
  .map(round => withTopology(round, values.topology));

const planted = values.mutations === '' ? [] : (JSON.parse(readFileSync(values.mutations, 'utf8')) as MutationResult[]);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const scratch = mkdtempSync(join(tmpdir(), 'adclicks-faults-'));
const reports: RoundReport[] = [];
const clusterReports: ClusterReport[] = [];
const nodesReports: NodesReport[] = [];
const notRunOnNodes: string[] = [];
const notRun: string[] = [];
const command = `npm run faults${process.argv.slice(2).length > 0 ? ` -- ${process.argv.slice(2).join(' ')}` : ''}`;
/** After each round: who ends the bench half-way has what was run until then. */
function writeReport(): void {
  if (values.report === '') return;
  const before = existsSync(values.report) ? readFileSync(values.report, 'utf8') : '';
  const whole = reports.length > 0 ? reportOf(reports, command, planted) : before;
  // Rounds of one kind leave the sections of the others as they are.
  const isNew = clusterReports.length > 0 || notRun.length > 0;
  const onThree = isNew ? clusterSectionOf(clusterReports, notRun, command) : sectionIn(before, sectionTitle);
  const onSeveral =
    nodesReports.length > 0 ? nodesSectionOf(nodesReports, notRunOnNodes, command) : sectionIn(before, nodesTitle);
  writeFileSync(values.report, withSection(withSection(whole, onThree), onSeveral));
}

for (const [index, goal] of goals.entries()) {
  const directory = join(scratch, `round-${index}`);
  const report = await runRound(goal, directory, line => console.log(line));
  reports.push(report);
  console.log(summaryOf(report));
  writeReport();
  if (report.violations.length === 0 || !values.keep) rmSync(directory, { recursive: true, force: true });
}
for (const [index, round] of onClusters.entries()) {
  if (round.smallDisk !== undefined && !(await canMountSmallDisk())) {
    notRun.push(`${round.name} (it needs the right to mount a tmpfs)`);
    console.log(`NOT RUN: ${notRun.at(-1)}`);
    writeReport();
    continue;
  }
  const directory = join(scratch, `cluster-${index}`);
  const report = await runClusterRound(round, directory, line => console.log(line));
  clusterReports.push(report);
  console.log(clusterSummaryOf(report));
  writeReport();
  if (report.violations.length === 0 || !values.keep) rmSync(directory, { recursive: true, force: true });
}
for (const [index, round] of onNodes.entries()) {
  const canFill = round.diskFullMs === 0 || (await canMountSmallDisk());
  if (!canFill) {
    notRunOnNodes.push(`disk full, of ${round.name} (it needs the right to mount a tmpfs)`);
    console.log(`NOT RUN: ${notRunOnNodes.at(-1)}`);
  }
  const directory = join(scratch, `nodes-${index}`);
  const report = await runNodesRound(canFill ? round : { ...round, diskFullMs: 0 }, directory, line =>
    console.log(line),
  );
  nodesReports.push(report);
  console.log(nodesSummaryOf(report));
  writeReport();
  if (report.violations.length === 0 || !values.keep) rmSync(directory, { recursive: true, force: true });
}
const broken = [...reports, ...clusterReports, ...nodesReports].reduce(
  (sum, { violations }) => sum + violations.length,
  0,
);
if (values.keep && broken > 0) console.log(`kept: ${scratch}`);
else rmSync(scratch, { recursive: true, force: true });
console.log(broken === 0 ? 'every promise held' : `${broken} broken`);
process.exit(broken === 0 ? 0 : 1);
