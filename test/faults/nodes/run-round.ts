/** One round on several nodes: the storm, then every node killed at once, calm, and every promise on what each node holds. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { nodeAccess } from '../../support/clickhouse-node.ts';
import { readCommitted } from '../../support/read-committed.ts';
import { checkAll, storedIsDurable } from '../checks.ts';
import { oneRunner } from '../job-results.ts';
import { readLedger } from '../ledger.ts';
import { booksBalance, comeToRest, recountAll } from '../rest.ts';
import { askOverHttp, compareRows } from './equal-rows.ts';
import { gatherNodes, rawOfShards, stores } from './evidence.ts';
import { lastAnswers } from './last-answers.ts';
import { untilRead } from './node-states.ts';
import type { ReadReport } from './readers.ts';
import type { NodesRound } from './rounds.ts';
import { type NodesStage, openNodesStage } from './stage.ts';
import { runStorm, type StormReport } from './storm.ts';

export interface NodesReport {
  readonly round: NodesRound;
  readonly seconds: number;
  readonly stormSeconds: number;
  readonly storm: StormReport;
  readonly read: ReadReport;
  readonly acked: number;
  readonly unknown: number;
  readonly refused: number;
  /** Acknowledged clicks that are in no node, and what is counted beyond the distinct clicks of the log. */
  readonly lost: number;
  readonly doubled: number;
  readonly tooLate: number;
  readonly restated: number;
  /** Rows that were compared line by line, of the first node of each shard, and what the product's own comparison said. */
  readonly rowsCompared: number;
  readonly checkerSaid: string;
  readonly residentMb: ReadonlyMap<string, number>;
  readonly exits: readonly string[];
  readonly violations: readonly string[];
}

export async function runNodesRound(
  round: NodesRound,
  scratch: string,
  say: (line: string) => void,
): Promise<NodesReport> {
  const startedAt = Date.now();
  await using stage = await openNodesStage(round, scratch, say);
  const { load, readers, queryApis, weather, nodes } = stage;
  say(`${round.name}: ${round.shards} x ${round.replicas} ready after ${seconds(Date.now() - startedAt)} s`);
  const stormAt = Date.now();
  const storm = await runStorm(stage, say);
  const stormSeconds = seconds(Date.now() - stormAt);
  const violations = [...storm.problems, ...missing(round, storm)];
  const attempt = async (what: string, work: () => Promise<readonly string[]>) => {
    violations.push(...(await work().catch(error => [`${what}: ${error}`])));
  };

  const mayRefuse = weather.mayRefuse();
  weather.enter('all killed, no sink');
  await attempt('I10', async () => {
    for (const sink of stage.sinks) await sink.down('SIGKILL');
    await Promise.all(nodes.map(node => node.kill()));
    await Promise.all(nodes.map(node => node.start()));
    const left = stores(await gatherNodes(stage)).flatMap(storedIsDurable);
    for (const sink of stage.sinks) sink.up();
    await untilRead(queryApis, nodes);
    return left.map(text => `after kill -9 of all: ${text}`);
  });
  mayRefuse[Symbol.dispose]();
  weather.enter('calm');

  await load.stop();
  await attempt('I8 comes to rest', async () => await restIn(stage));
  const read = await readers.stop();
  violations.push(...read.violations);
  await attempt('last answers', () => lastAnswers(stage));
  const checkerSaid = await checkerOf(stage).catch(error => String(error));
  if (!/all equal$/.test(checkerSaid)) violations.push(`I13 replicas, as the product compares them: ${checkerSaid}`);
  say(`${round.name}: at rest; ${checkerSaid}`);
  await attempt('level', () => comeLevel(stage));
  const { rows: rowsCompared, differences } = await compareRows(
    stage.shards,
    askOverHttp(nodeAccess.CLICKHOUSE_USER, nodeAccess.CLICKHOUSE_PASSWORD),
  );
  violations.push(...differences.map(text => `I13 replicas are equal: ${text.slice(0, 500)}`));

  const evidence = await gatherNodes(stage);
  const clicks = readLedger(stage.ledgerFile);
  for (const store of stores(evidence))
    violations.push(...checkAll(clicks, store, { highest: new Map(), answers: 0, violations: [] }, true));
  violations.push(...rawOfShards(evidence).map(text => `I14 ${text}`));
  violations.push(...oneRunner(await readCommitted(stage.brokers, stage.names.topic('job-results'))));
  for (const victim of victimsOf(stage)) writeFileSync(join(scratch, `${victim.name}.log`), victim.logs());
  const fates = [...clicks.values()].map(({ fate }) => fate);
  const count = (fate: string) => fates.filter(each => each === fate).length;
  const [first] = stores(evidence);
  const raw = new Set(first?.rows.raw.map(({ event_id }) => event_id));
  return {
    round,
    seconds: seconds(Date.now() - startedAt),
    ...{ stormSeconds, storm, read, rowsCompared, checkerSaid, violations: [...new Set(violations)] },
    ...{ acked: count('acked'), unknown: count('unknown'), refused: count('refused') },
    lost: [...clicks].filter(([id, { fate }]) => fate === 'acked' && !raw.has(id)).length,
    doubled: (first?.rows.adMinute ?? []).reduce((sum, row) => sum + row.clicks, 0) - raw.size,
    tooLate: first?.rows.quarantine.filter(row => row.reason === 'too_late').length ?? 0,
    restated: first?.rows.restatements.length ?? 0,
    residentMb: stage.residentMb(),
    exits: [...stage.exits],
  };
}

async function restIn({ queryApis, lateMinutes }: NodesStage): Promise<string[]> {
  const url = queryApis[0]!.url;
  const lastClickAt = Date.now();
  const rest = await comeToRest(url, lastClickAt, restMs);
  if (rest.problem !== undefined) return [`I8 comes to rest: ${rest.problem}`];
  return [...(await recountAll(url, lateMinutes[0]!, rest.finalUntil)), ...(await booksBalance(url))];
}

/** The comparison that the product ships. */
async function checkerOf({ env }: NodesStage): Promise<string> {
  const program = join(import.meta.dirname, '../../../query-api/jobs/replicas/main.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [program], {
    env: { PATH: process.env['PATH'], ...env, LOG_LEVEL: 'error' },
  });
  return stdout.trim();
}

/** Nothing is written to the log any more, and every node has all of it; then the sinks are stopped. */
async function comeLevel({ aggregator, ingest, runners, sinks, nodes, admin, names }: NodesStage): Promise<string[]> {
  for (const victim of [ingest, ...runners, aggregator]) await victim.down('SIGTERM');
  const groups = [
    ...(['aggregates', 'quarantine'] as const).map(topic => [names.aggregateSinkGroup, topic] as const),
    ...(['job-results', 'job-requests', 'seals', 'filters', 'write-offs', 'audit'] as const).map(
      topic => [names.resultSinkGroup, topic] as const,
    ),
    [names.rawSinkGroup, 'clicks'] as const,
  ];
  const deadline = Date.now() + 120_000;
  for (;;) {
    const behind: string[] = [];
    for (const [group, topic] of groups) {
      const ends = await admin.endOffsets(names.topic(topic));
      const furthest = new Map<number, number>();
      const all = await Promise.all(
        nodes.map(({ name }) => admin.commits(names.groupAt(group, name), names.topic(topic))),
      );
      for (const commits of all)
        for (const [partition, { offset }] of commits)
          furthest.set(partition, Math.max(offset, furthest.get(partition) ?? 0));
      for (const [i, commits] of all.entries())
        for (const [partition, { offset }] of commits)
          if (offset < (ends.get(partition) ?? 0))
            behind.push(`${nodes[i]!.name} ${topic}[${partition}] at ${offset} of ${ends.get(partition)}`);
      for (const [partition, end] of ends)
        if (end > (furthest.get(partition) ?? 0)) behind.push(`nobody has ${topic}[${partition}] to ${end}`);
    }
    if (behind.length === 0) break;
    if (Date.now() > deadline) return [`I8 level: ${behind.slice(0, 5).join('; ')}`];
    await sleep(300);
  }
  for (const sink of sinks) await sink.down('SIGTERM');
  return [];
}

function victimsOf({ ingest, aggregator, sinks, queryApis, runners }: NodesStage) {
  return [ingest, aggregator, ...sinks, ...queryApis, ...runners];
}

/** A fault that did not strike proves nothing. */
function missing(round: NodesRound, { struck }: StormReport): string[] {
  const wanted: Readonly<Record<string, number>> = {
    'node killed': round.kills,
    'node killed, any': round.wildKills,
    'sink killed': round.sinkKills,
    'node away': 1,
    'disk full': round.diskFullMs > 0 ? 1 : 0,
    'node stopped': round.pauses,
    'node emptied': round.rebuilds,
    'no sink': 1,
    'shard away': round.shards,
    'replay asked for': 1,
  };
  return Object.entries(wanted)
    .filter(([what, times]) => (struck.get(what) ?? 0) < times)
    .map(([what, times]) => `I11 not hit: ${what}, ${struck.get(what) ?? 0} of ${times} under load`);
}

/** Jobs that were asked for and whose turns nodes have broken off are still to be done. */
const restMs = 420_000;

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
