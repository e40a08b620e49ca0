/**
 * One round: the pipeline as real processes on a real broker and database, load all the while, a storm of faults until each
 * kind has struck often enough, then calm; and at last every promise is checked on what is left behind.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics, openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { createTables } from '../support/clickhouse.ts';
import { quietPort } from '../support/quiet-port.ts';
import { readCommitted } from '../support/read-committed.ts';
import { watchActiveRunner } from './active-runner.ts';
import { type BenchBroker, startBenchBroker } from './bench-broker.ts';
import { checkAll, storedIsDurable } from './checks.ts';
import { startDatabase } from './database.ts';
import { gather } from './evidence.ts';
import { createFaultBook, type FaultBook, type FaultGoal } from './fault-book.ts';
import { oneRunner } from './job-results.ts';
import { openLedger, readLedger } from './ledger.ts';
import { type Load, startLoad } from './load.ts';
import { poison } from './poison.ts';
import { startReader } from './reader.ts';
import { booksBalance, comeToRest, recountAll } from './rest.ts';
import { mountSmallDisk } from './small-disk.ts';
import type { Role } from './step-points.ts';
import { type Disturbance, disturbances } from './storm.ts';
import { openReplyCutter, type ReplyCutter } from './tcp-proxy.ts';
import { startVictim, type Victim } from './victim.ts';

export interface RoundGoal extends FaultGoal {
  readonly name: string;
  readonly bounces: number;
  readonly cuts: number;
  readonly poisons: number;
  /** A third aggregator comes and goes so often. */
  readonly joins: number;
  /** All brokers are away for so long, once; 0: not. */
  readonly awayMs: number;
  /** The store's disk is full for so long, once; 0: not. Needs the right to mount a tmpfs. */
  readonly diskFullMs: number;
  /** Replays of the last hours are asked for, and applied, all the while. */
  readonly replays: boolean;
  readonly guarantee: 'exactly_once' | 'at_least_once';
  /** The storm ends then, even if not all has struck. */
  readonly longestStormMs: number;
}

export interface RoundReport {
  readonly name: string;
  readonly seconds: number;
  readonly stormSeconds: number;
  /** By `step-point, action`. */
  readonly hits: ReadonlyMap<string, number>;
  readonly kills: number;
  readonly zombies: number;
  readonly lostAnswers: number;
  readonly cuts: ReadonlyMap<string, number>;
  readonly others: ReadonlyMap<string, number>;
  readonly posted: number;
  readonly acked: number;
  readonly unknown: number;
  readonly refused: number;
  readonly raw: number;
  readonly duplicates: number;
  readonly tooLate: number;
  readonly answersRead: number;
  /** From the end of the storm until all that was posted is counted, s. */
  readonly healSeconds: number;
  /** Processes that ended by themselves: watchdogs, refusals to start. */
  readonly exits: readonly string[];
  readonly notes: readonly string[];
  readonly violations: readonly string[];
}

/** What the disturbances of the storm work on. */
export interface Stage {
  readonly goal: RoundGoal;
  readonly broker: BenchBroker;
  readonly httpCutters: readonly ReplyCutter[];
  readonly victims: readonly Victim[];
  readonly load: Load;
  readonly dataDir: string;
  readonly newAggregator: () => Promise<Victim>;
  readonly queryApiUrl: string;
  readonly poison: (serial: number) => Promise<number>;
  readonly note: (text: string) => void;
  /** Counts a fault that struck while clicks were on their way. */
  readonly struck: (what: string) => boolean;
  readonly count: (what: string) => number;
  readonly isOver: () => boolean;
  /** What is to strike at step-points has. */
  readonly hasStruck: () => boolean;
  /** Resolves when no process is being killed any more and clicks are being acknowledged. */
  readonly calmed: () => Promise<void>;
}

export const partitions = 4;

const mains: Readonly<Record<Role, string>> = {
  ingest: 'ingest/main.ts',
  aggregator: 'aggregator/main.ts',
  sink: 'aggregator/sink/main.ts',
  'query-api': 'query-api/main.ts',
  jobs: 'query-api/jobs/main.ts',
};

export async function runRound(goal: RoundGoal, scratch: string, say: (line: string) => void): Promise<RoundReport> {
  const startedAt = Date.now();
  mkdirSync(scratch, { recursive: true });
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startBenchBroker(scratch));
  const kafka = createKafka(
    loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.direct }),
    'bench',
    createLog('bench', 'error'),
  );
  const names = namesOf('');
  await ensureTopics(kafka, names, partitions);
  const admin = stack.use(await openAdmin(kafka));

  const others = new Map<string, number>();
  const exits: string[] = [];
  const notes: string[] = [];
  let load: Load | undefined;
  let lastAcked = 0;
  let ackedAt = 0;
  const ackWatch = setInterval(() => {
    if ((load?.acked ?? 0) > lastAcked) ackedAt = Date.now();
    lastAcked = load?.acked ?? 0;
  }, 50);
  stack.defer(() => clearInterval(ackWatch));
  const isLoaded = () => (load?.inFlight ?? 0) > 0 || Date.now() - ackedAt < 1_000;
  const book: FaultBook = createFaultBook(goal, isLoaded);
  let isStorm = false;

  const dataDir = join(scratch, 'store');
  mkdirSync(dataDir, { recursive: true });
  if (goal.diskFullMs > 0) stack.use(await mountSmallDisk(dataDir));
  const database = stack.use(await startDatabase(dataDir));
  await createTables({ ...database.env });
  const env = { ...envOf(goal, broker.proxied), ...database.env };
  const activeRunner = watchActiveRunner(
    () => queryApi.url,
    line => goal.replays && say(`${goal.name}: ${line}`),
  );
  const victimOf = async (name: string, role: Role): Promise<Victim> => {
    const port = await quietPort();
    return startVictim({
      name,
      main: mains[role],
      port,
      env,
      scratch,
      plan: () => (isStorm ? book.next(role) : undefined),
      // Longer than the session of the job runner, and until another is active.
      ...(role === 'jobs' ? { stoppedMs: 14_000 } : {}),
      onHit(plan) {
        if (role === 'jobs') activeRunner.struck(`http://127.0.0.1:${port}`, plan);
        book.struck(plan);
      },
      onMissed: book.missed,
      ...(role === 'jobs'
        ? { onWell: (isWell: boolean) => activeRunner.isWell(`http://127.0.0.1:${port}`, isWell) }
        : {}),
      onExit: reason => exits.push(reason),
    });
  };
  const queryApi = stack.use(await victimOf('query-api', 'query-api'));
  const sink = stack.use(await victimOf('sink', 'sink'));
  const runners = [stack.use(await victimOf('jobs-1', 'jobs')), stack.use(await victimOf('jobs-2', 'jobs'))];
  const aggregators = [
    stack.use(await victimOf('aggregator-1', 'aggregator')),
    stack.use(await victimOf('aggregator-2', 'aggregator')),
  ];
  const ingests = [stack.use(await victimOf('ingest-1', 'ingest')), stack.use(await victimOf('ingest-2', 'ingest'))];
  const victims = [queryApi, sink, ...runners, ...aggregators, ...ingests];
  const httpCutters: ReplyCutter[] = [];
  for (const ingest of ingests) {
    httpCutters.push(stack.use(await openReplyCutter('http', await quietPort(), Number(new URL(ingest.url).port))));
  }
  await Promise.all(victims.map(victim => victim.ready(60_000)));
  say(`${goal.name}: pipeline ready after ${seconds(Date.now() - startedAt)} s`);

  const ledgerFile = join(scratch, 'ledger.jsonl');
  using ledger = openLedger(ledgerFile);
  const lateMinute = Date.now() - (Date.now() % 60_000) - 3 * 3_600_000;
  const reader = startReader(queryApi.url, [lateMinute, lateMinute + 60_000]);
  load = startLoad({ urls: httpCutters.map(({ port }) => `http://127.0.0.1:${port}`), ledger, name: 'ad' });
  const producer = stack.use(createProducer(kafka, { acks: -1, timeoutMs: 10_000 }));
  await sleep(2_000);

  const stormAt = Date.now();
  isStorm = true;
  const stage: Stage = {
    goal,
    broker,
    httpCutters,
    victims,
    load,
    dataDir,
    newAggregator: () => victimOf('aggregator-3', 'aggregator'),
    queryApiUrl: queryApi.url,
    poison: serial => poison(producer, names.topic('clicks'), partitions, serial),
    note: text => notes.push(text),
    struck(what) {
      if (!isLoaded()) return false;
      others.set(what, (others.get(what) ?? 0) + 1);
      return true;
    },
    count: what => others.get(what) ?? 0,
    isOver: () => Date.now() > stormAt + goal.longestStormMs,
    hasStruck: () => hasStruck(book, goal),
    async calmed() {
      await untilStruck(book, goal, stage);
      for (const victim of victims) await victim.ready(60_000);
      while (!isLoaded() && !stage.isOver()) await sleep(50);
    },
  };
  // Those that run have no step-point yet.
  for (const victim of victims) void victim.kill();
  const progress = setInterval(() => say(`${goal.name}: ${shown(book, stage)}`), 15_000);
  await Promise.all([
    untilStruck(book, goal, stage),
    ...disturbances.map((disturbance: Disturbance) => disturbance(stage)),
  ]);
  clearInterval(progress);
  isStorm = false;
  const succession = await activeRunner.stop();
  const stormSeconds = seconds(Date.now() - stormAt);
  say(`${goal.name}: storm over, ${shown(book, stage)}`);
  await broker.start();
  for (const victim of [...aggregators, ...ingests]) await victim.kill();

  // While the storm's traces are fresh: what the sinks have committed must be in the tables.
  await sink.down('SIGKILL');
  await database.bounce();
  const source = { brokers: broker.direct, admin, names, partitions, clickHouse: database.env };
  const violations = storedIsDurable(await gather(source)).map(text => `after kill -9: ${text}`);
  sink.up();

  await load.stop();
  const healedAt = Date.now();
  const lastClickAt = Date.now();
  await Promise.all(victims.map(victim => victim.ready(90_000)));
  const rest = await comeToRest(queryApi.url, lastClickAt);
  if (rest.problem !== undefined) violations.push(`I8 comes to rest: ${rest.problem}\n${logsOf(victims)}`);
  violations.push(...(await recountAll(queryApi.url, lateMinute - 60_000, rest.finalUntil)));
  violations.push(...(await booksBalance(queryApi.url)));
  const alarm = /^.*rows DIFFER from counters.*$/m.exec(runners.map(runner => runner.logs()).join('\n'))?.[0];
  if (alarm !== undefined) violations.push(`I5 false alarm: ${alarm}`);
  say(`${goal.name}: at rest ${seconds(Date.now() - healedAt)} s after the storm`);

  const seen = await reader.stop();
  await sink.down('SIGTERM');
  const evidence = await gather(source);
  const clicks = readLedger(ledgerFile);
  violations.push(...checkAll(clicks, evidence, seen, goal.guarantee === 'exactly_once'));
  violations.push(...oneRunner(await readCommitted(broker.direct, names.topic('job-results'))));
  violations.push(...missing(goal, book, stage));
  if (goal.replays) {
    notes.push(succession.note);
    violations.push(...succession.violations);
  }
  const fates = [...clicks.values()].map(({ fate }) => fate);
  return {
    name: goal.name,
    seconds: seconds(Date.now() - startedAt),
    stormSeconds,
    hits: book.hits,
    kills: book.count('kill'),
    zombies: book.count('stop'),
    lostAnswers: book.count('fail'),
    cuts: new Map(
      [...others].filter(([what]) => what.startsWith('cut ')).map(([what, count]) => [what.slice(4), count]),
    ),
    others: new Map([...others].filter(([what]) => !what.startsWith('cut'))),
    posted: clicks.size,
    acked: fates.filter(fate => fate === 'acked').length,
    unknown: fates.filter(fate => fate === 'unknown').length,
    refused: fates.filter(fate => fate === 'refused').length,
    raw: evidence.rows.raw.length,
    duplicates: evidence.rows.progress.reduce((sum, row) => sum + row.duplicates, 0),
    tooLate: evidence.rows.quarantine.filter(row => row.reason === 'too_late').length,
    answersRead: seen.answers,
    healSeconds: seconds(rest.countedAt - healedAt),
    exits,
    notes,
    violations,
  };
}

function envOf({ guarantee }: RoundGoal, brokers: string): Record<string, string> {
  return {
    LOG_LEVEL: 'info',
    KAFKA_BROKERS: brokers,
    AGGREGATOR_GUARANTEE: guarantee,
    AGGREGATOR_SESSION_TIMEOUT_MS: '4000',
    SINK_SESSION_TIMEOUT_MS: '6000',
    OUT_OF_ORDERNESS_MS: '5000',
    ALLOWED_LATENESS_MS: '10000',
    TICK_INTERVAL_MS: '1000',
    COMMIT_INTERVAL_MS: '200',
    CONSERVATION_INTERVAL_MS: '1000',
  };
}

async function untilStruck(book: FaultBook, goal: RoundGoal, stage: Stage): Promise<void> {
  while (!hasStruck(book, goal) && !stage.isOver()) await sleep(200);
}

function hasStruck(book: FaultBook, goal: RoundGoal): boolean {
  return (
    book.count('kill') >= goal.kills && book.count('stop') >= goal.zombies && book.count('fail') >= goal.lostAnswers
  );
}

/** A fault that did not strike proves nothing: the round does not count. */
function missing(goal: RoundGoal, book: FaultBook, stage: Stage): string[] {
  const found: [string, number, number][] = [
    ['kills', goal.kills, book.count('kill')],
    ['zombies', goal.zombies, book.count('stop')],
    ['lost answers of the store', goal.lostAnswers, book.count('fail')],
    ['broker bounces', goal.bounces, stage.count('broker killed') + stage.count('broker stopped')],
    ['cut replies', goal.cuts, stage.count('cut')],
    ['poison records', goal.poisons, stage.count('poison')],
    ['joins', goal.joins, stage.count('member joined')],
    ['brokers away', goal.awayMs > 0 ? 1 : 0, stage.count('brokers away')],
    ['disk full', goal.diskFullMs > 0 ? 1 : 0, stage.count('disk full')],
  ];
  return found
    .filter(([, wanted, struck]) => struck < wanted)
    .map(([what, wanted, struck]) => `I11 not hit: ${what}, ${struck} of ${wanted} under load`);
}

function shown(book: FaultBook, stage: Stage): string {
  const { load } = stage;
  const bounces = stage.count('broker killed') + stage.count('broker stopped');
  return `${book.count('kill')} kills, ${book.count('stop')} zombies, ${bounces} bounces, ${load.acked} clicks acked`;
}

function logsOf(victims: readonly Victim[]): string {
  return victims.map(victim => `--- ${victim.name}\n${victim.logs().slice(-3_000)}`).join('\n');
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
