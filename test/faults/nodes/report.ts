/** What the rounds on several ClickHouse nodes have shown, for people: a section of the fault bench's report. */
import { cpus, totalmem } from 'node:os';
import type { NodesReport } from './run-round.ts';

export const nodesTitle = '## Several ClickHouse nodes';

export function nodesSummaryOf(report: NodesReport): string {
  const { round, storm, read, acked, unknown, lost, doubled, rowsCompared, checkerSaid, violations } = report;
  const answers = [...read.phases.values()].reduce((sum, of) => sum + of.answers, 0);
  return [
    `${round.name} (${topologyOf(report)}): ${listOf(storm.struck)}`,
    `  ${acked} clicks acked, ${unknown} unknown, ${lost} lost, ${doubled} doubled; ${answers} answers, ${read.checked} numbers checked`,
    `  ${rowsCompared} rows compared line by line; ${checkerSaid}`,
    ...[...storm.recoveries].map(([kind, all]) => `  read again after ${kind}: ${spreadOf(all)}`),
    ...[...read.phases].map(
      ([phase, of]) =>
        `  ${phase}: ${of.answers} answers, ${of.refused} refused, stalest ${secondsOf(of.stalestMs)}, slowest ${secondsOf(of.slowestMs)}`,
    ),
    `  an answer stood on a moment of at most ${secondsOf(read.fellBackMs)} before one told earlier`,
    ...storm.notes.map(note => `  ${note}`),
    ...report.exits.map(exit => `  by itself: ${exit}`),
    violations.length === 0 ? '  every promise held' : violations.map(text => `  BROKEN ${text}`).join('\n'),
  ].join('\n');
}

export function nodesSectionOf(reports: readonly NodesReport[], notRun: readonly string[], command: string): string {
  const broken = reports.flatMap(({ round, violations }) => violations.map(text => `- ${round.name}: ${text}`));
  return `${nodesTitle}

${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC · \`${command}\` · ${cpus().length} CPUs (${cpus()[0]?.model ?? '?'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}

**${broken.length === 0 ? '0 lost, 0 doubled, every promise held' : `${broken.length} promises BROKEN`}**. One broker, one ingest, one aggregator, two sinks for all nodes, two query APIs, two job runners; every node is an
embedded server with a limit of 1 GB.
${broken.length === 0 ? '' : `\n${broken.join('\n')}\n`}
${notRun.map(text => `NOT RUN: ${text}\n`).join('')}${reports.map(partOf).join('\n')}
### What each check would not see

${blindSpots.map(([check, blind]) => `- **${check}** ${blind}`).join('\n')}
`;
}

function partOf(report: NodesReport): string {
  const { round, storm, read, residentMb } = report;
  const kinds = ['node killed', 'node killed, any', 'node killed with its shard'];
  const kills = kinds.reduce((sum, kind) => sum + (storm.struck.get(kind) ?? 0), 0);
  const answers = [...read.phases.values()].reduce((sum, of) => sum + of.answers, 0);
  const latencies = read.latencies.toSorted((a, b) => a - b);
  return `### ${round.name}: ${topologyOf(report)}

| | |
| --- | --- |
| length, of it storm | ${(report.seconds / 60).toFixed(1)} min, ${(report.stormSeconds / 60).toFixed(1)} min |
| \`kill -9\` of nodes | ${kills} under load, and all at once at the end; by node ${[...storm.killsByNode.values()].join(', ')} |
| all that struck | ${listOf(storm.struck)} |
| clicks acknowledged | ${report.acked} (${Math.round(report.acked / Math.max(1, report.stormSeconds))}/s), ${report.unknown} of unknown fate, ${report.refused} refused |
| lost | ${report.lost} |
| doubled | ${report.doubled} |
| too late for their minute, counts restated | ${report.tooLate}, ${report.restated} |
| answers of query APIs | ${answers}, with ${read.checked} numbers held against what was posted, ${read.bounded} of them against what had been accepted, too |
| … none, though a node of each shard was there | ${read.unanswered} |
| answered within | ${[0.5, 0.99, 1].map(of => `${Math.round(latencies[Math.ceil(of * latencies.length) - 1] ?? 0)} ms`).join(', ')} (p50, p99, longest) |
| by how much an answer's watermark was before an earlier one of the same query API | at most ${secondsOf(read.fellBackMs)} |
| final numbers told as before a restatement that had been told | ${read.outdated.times} times, at most ${secondsOf(read.outdated.longestMs)} later |
| rows compared line by line | ${report.rowsCompared} |
| \`npm run check-replicas\` | ${report.checkerSaid.replace(/127\.0\.0\.1:\d+, |127\.0\.0\.1:\d+: /g, '')} |
| resident, at most | ${[...residentMb.values()].map(mb => `${mb} MB`).join(', ')} by node |
| processes that ended by themselves | ${report.exits.length} |

"Staleness" is how old the moment was, when an answer came, up to which it had everything: the answer's own watermark and
the out-of-orderness on top of it, against the clock. "All killed, no sink" is the bench's own stop at the end, in which it reads
the whole log and all tables; "calm" begins with the backlog of that.

| while | answers | refused (503, Retry-After) | most staleness | slowest answer |
| --- | --- | --- | --- | --- |
${[...read.phases].map(([phase, of]) => `| ${[phase, of.answers, of.refused, secondsOf(of.stalestMs), secondsOf(of.slowestMs)].join(' | ')} |`).join('\n')}

| node back after | times | every query API would read it again after (median, longest) |
| --- | --- | --- |
${[...storm.recoveries].map(([kind, all]) => `| ${kind} | ${all.length} | ${spreadOf(all)} |`).join('\n')}

${storm.notes.map(note => `- ${note}`).join('\n')}
${report.exits.map(exit => `- by itself: \`${exit.slice(0, 200).replaceAll('`', "'")}\``).join('\n')}
`;
}

/** Asked of each check: what loss would it not see? */
const blindSpots: readonly (readonly [check: string, blind: string])[] = [
  [
    'Never above what was posted:',
    'a click counted twice while others of the same ad and minute are not counted yet. At rest counts are held against the distinct ids of the log, exactly.',
  ],
  [
    'Never below the answer’s watermark:',
    'what was accepted after that moment, and clicks that may have come too late for their minute. A watermark that falls behind hides a loss until it comes on; the table says how far it fell behind, and at rest all is final and compared.',
  ],
  [
    'No final number taken back:',
    'a number that is told once only. Every ad of the last five minutes, and of the minutes that get late clicks, is asked for again and again, of both query APIs.',
  ],
  [
    'Replicas equal, by the product’s checker:',
    'a row that all replicas lack or have wrong, a table that it leaves out (progress, and what nodes work out themselves), and its own mistakes: therefore also line by line, over plain HTTP, in all tables but the latter.',
  ],
  [
    'Line by line:',
    'the same loss in each replica. Therefore each node’s raw ids are held against the log, which Kafka’s own client reads, and its counts against its raw ids.',
  ],
  [
    'Raw against the log, the log against the ledger:',
    'a click that a client was told to be accepted and whose answer the bench has not read: its fate is unknown, and it may be there or not. Nothing can be said of those.',
  ],
  [
    'No read refused while a node of each shard was there:',
    'a refusal in the phases in which reads may be refused; those have to bear Retry-After.',
  ],
];

function topologyOf({ round }: NodesReport): string {
  return `${round.shards} × ${round.replicas}`;
}

function listOf(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, count]) => `${count} × ${what}`).join(', ') || 'nothing';
}

function spreadOf(all: readonly number[]): string {
  const sorted = all.toSorted((a, b) => a - b);
  return `${secondsOf(sorted[sorted.length >> 1] ?? 0)}, ${secondsOf(sorted.at(-1) ?? 0)}`;
}

function secondsOf(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
