/**
 * Beside us: ClickHouse's own `Kafka` engine with materialized views (kafka-engine-tables.ts), which many would use
 * instead, on the same broker, topic and kind of server: how fast it is, what it costs, and what it has counted after
 * `kill -9`. `npm run bench:kafka-engine -- --help`.
 *
 * A run ends when all of the topic is committed; merges go on a while, and CPU is told with them, until the server has
 * come to rest. CPU of ours is aggregator, sink and server together; the broker is not in either. What they do is not the
 * same: the engine calls nothing late, says of no minute that it is final, puts off no click with a clock that runs
 * ahead, and drops no copy unless it keeps the ids (`uniq`, `uniqExact`); its rows say how much was added, ours how much
 * there is, so that ours may be written twice.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openBacklog } from './backlog.ts';
import { median, rowOf, tell } from './bench-row.ts';
import { type CountingSystem, type Stored, startKafkaEngine, startOurs } from './counting-systems.ts';
import type { Ids } from './kafka-engine-tables.ts';
import { copyKit } from './peers.ts';
import { costOf } from './process-cost.ts';
import type { Cells } from './workload.ts';

const { values: options } = parseArgs({
  options: {
    clicks: { type: 'string', default: '10000000' },
    lines: { type: 'string', default: '500' },
    ads: { type: 'string', default: '100000' },
    minutes: { type: 'string', default: '10' },
    runs: { type: 'string', default: '3' },
    kills: { type: 'string', default: '5' },
    consumers: { type: 'string', default: '2' },
    'block-rows': { type: 'string', default: '1048576' },
    ids: { type: 'string', default: 'count,uniqExact' },
    peers: { type: 'string', default: process.env['PEERS_DIR'] ?? '' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(`npm run bench:kafka-engine -- [options]
  --clicks N       how many (10,000,000)          --lines N       clicks per record (500)
  --ads N          ads (100,000)                  --minutes N     of event time (10)
  --runs N         of each, in turns (3)          --kills N       in the run that is killed (5; 0: no such run)
  --ids A,B        of the engine: count, uniq, uniqExact (count,uniqExact)
  --consumers N    of the engine (2)              --block-rows N  of the engine (1,048,576)
  --peers DIR      the peers kit (PEERS_DIR), whose generator then makes the clicks, late ones among them
  --json FILE      results for programs`);
  process.exit(0);
}
const clicks = Number(options.clicks);
const workload = {
  clicks,
  lines: Number(options.lines),
  ads: Number(options.ads),
  minutes: Number(options.minutes),
  partitions: 4,
  // Raw clicks of long ago would be dropped as soon as they are stored.
  begin: Math.floor(Date.now() / 3_600_000 - 2) * 3_600_000,
};
const kills = Number(options.kills);

const workDir = mkdtempSync(join(tmpdir(), 'bench-kafka-engine-kit-'));
using _ = { [Symbol.dispose]: () => rmSync(workDir, { recursive: true, force: true }) };
const kit = options.peers === '' ? undefined : copyKit(options.peers, workDir);
await using backlog = await openBacklog(workload, { kit });

const ours = 'aggregator and sink';
const engineOf = (ids: Ids) => `Kafka engine, ${ids === 'count' ? 'count()' : `count() and ${ids}`}`;
const settings = { consumers: Number(options.consumers), blockRows: Number(options['block-rows']) };
const systems: Readonly<Record<string, () => Promise<CountingSystem>>> = {
  ...Object.fromEntries(
    options.ids.split(',').map(ids => {
      if (ids !== 'count' && ids !== 'uniq' && ids !== 'uniqExact') throw new Error(`--ids ${ids}: no such state`);
      return [engineOf(ids), () => startKafkaEngine(backlog, { ids, ...settings })];
    }),
  ),
  [ours]: () => startOurs(backlog, workload),
};

const runs: Run[] = [];
for (let run = 0; run < Number(options.runs); run++)
  for (const [name, start] of Object.entries(systems)) runs.push(await measure(name, start));
const killed = new Map<string, Difference>();
if (kills > 0) for (const [name, start] of Object.entries(systems)) killed.set(name, await measureKilled(name, start));
report();

interface Run {
  readonly name: string;
  /** Clicks per second. */
  readonly committed: number;
  readonly merged: number;
  readonly cpuSecondsPerMillion: number;
}

async function measure(name: string, start: () => Promise<CountingSystem>): Promise<Run> {
  await using system = await start();
  const startedAt = Date.now();
  await system.caughtUp();
  const committedAt = Date.now();
  const restAt = await atRest(system.serverPid());
  const parts = system.cpu();
  const cpuSeconds = Object.values(parts).reduce((all, part) => all + part, 0);
  const stored = await system.stored();
  const result = {
    name,
    committed: (clicks / (committedAt - startedAt)) * 1_000,
    merged: (clicks / (restAt - startedAt)) * 1_000,
    cpuSecondsPerMillion: (cpuSeconds / clicks) * 1e6,
  };
  const partsTold = Object.entries(parts).map(([part, seconds]) => `${part} ${((seconds / clicks) * 1e6).toFixed(2)}`);
  console.log(
    `${name}: ${Math.round(result.committed / 1e3)} k clicks/s committed, ${Math.round(result.merged / 1e3)} k merged, ` +
      `${result.cpuSecondsPerMillion.toFixed(2)} CPU s/M (${partsTold.join(', ')}), ${stored.bytesPerRaw.toFixed(1)} bytes ` +
      `a raw click, ${stored.bytesPerCount.toFixed(1)} a count row; ${told(differenceOf(stored, name))}`,
  );
  return result;
}

/**
 * Kills it as often as asked, spread over the log: in turns at any moment, and at the worst one, just when something has
 * been inserted.
 */
async function measureKilled(name: string, start: () => Promise<CountingSystem>): Promise<Difference> {
  await using system = await start();
  for (let kill = 1; kill <= kills; kill++) {
    await untilStored(system, (clicks * (kill - 1)) / (kills + 1));
    if (kill % 2 === 0) await sleep(((kill * 377) % 1_000) * 2);
    else await untilInserted(system);
    await system.killAndStart();
  }
  await system.caughtUp();
  await atRest(system.serverPid());
  const difference = differenceOf(await system.stored(), name);
  console.log(`${name}, killed ${kills} times: ${told(difference)}`);
  return difference;
}

async function untilStored(system: CountingSystem, rows: number): Promise<void> {
  for (const deadline = Date.now() + 300_000; ((await system.rawRows()) ?? 0) < rows; await sleep(20))
    if (Date.now() > deadline) throw new Error(`not ${rows} raw clicks within 300 s`);
}

async function untilInserted(system: CountingSystem): Promise<void> {
  const before = await system.inserts();
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(2)) {
    const now = await system.inserts();
    if (now !== undefined && now !== before) return;
    if (((await system.rawRows()) ?? 0) >= clicks)
      throw new Error('all is stored before the last kill: take more clicks');
  }
  throw new Error('nothing was inserted within 60 s');
}

/** When the server last used more than a tenth of a core: seen two seconds later. */
async function atRest(pid: number): Promise<number> {
  for (;;) {
    const [at, before] = [Date.now(), costOf(pid).cpuSeconds];
    await sleep(2_000);
    if (costOf(pid).cpuSeconds - before < 0.2) return at;
  }
}

interface Difference {
  readonly rawDoubled: number;
  readonly rawLost: number;
  /** Sum of the counts less what it should be: of the engine with copies, of ours without. */
  readonly counts: number;
  /** Cells (ad, minute) whose number of distinct clicks is off; of the engine without ids its counts. */
  readonly cellsOff: number;
}

/** Late clicks are in the engine's minutes at once; in ours they wait in quarantine for the job that restates them. */
function differenceOf(stored: Stored, name: string): Difference {
  const { truth, late } = backlog;
  const isOurs = name === ours;
  const sum = (cells: Cells) => [...cells.values()].reduce((all, count) => all + count, 0);
  const expected = new Map(truth);
  if (!isOurs) for (const [cell, count] of late) expected.set(cell, (expected.get(cell) ?? 0) + count);
  const cells = new Set([...expected.keys(), ...stored.distinct.keys()]);
  return {
    rawDoubled: stored.raw - stored.distinctRaw,
    rawLost: clicks - stored.distinctRaw,
    counts: sum(stored.counts) - (isOurs ? sum(truth) : clicks),
    cellsOff: [...cells].filter(cell => (stored.distinct.get(cell) ?? 0) !== (expected.get(cell) ?? 0)).length,
  };
}

function told({ rawDoubled, rawLost, counts, cellsOff }: Difference): string {
  return `raw ${rawDoubled} doubled, ${rawLost} lost; counts off by ${counts}; distinct clicks wrong in ${cellsOff} cells`;
}

function report(): void {
  const of = (name: string, value: (run: Run) => number) => median(runs.filter(r => r.name === name).map(value));
  const measured = Object.keys(systems).filter(name => runs.some(run => run.name === name));
  const rows = measured.flatMap(name => {
    const beside = (value: (run: Run) => number) =>
      name === ours ? undefined : { name: ours, value: of(ours, value) };
    return [
      rowOf(
        `${name}, committed`,
        of(name, r => r.committed),
        'clicks/s',
        beside(r => r.committed),
      ),
      rowOf(
        `${name}, merged`,
        of(name, r => r.merged),
        'clicks/s',
        beside(r => r.merged),
      ),
      rowOf(
        `${name}, CPU`,
        of(name, r => r.cpuSecondsPerMillion),
        'CPU s per million',
        beside(r => r.cpuSecondsPerMillion),
      ),
    ];
  });
  const afterKills = [...killed].flatMap(([name, { rawDoubled, rawLost, counts, cellsOff }]) => [
    rowOf(`${name}, ${kills} kills, raw doubled`, rawDoubled, 'rows'),
    rowOf(`${name}, ${kills} kills, raw lost`, rawLost, 'rows'),
    rowOf(`${name}, ${kills} kills, counts off by`, counts, 'clicks'),
    rowOf(`${name}, ${kills} kills, distinct clicks wrong`, cellsOff, 'cells'),
  ]);
  tell([...rows, ...afterKills], options.json);
}
