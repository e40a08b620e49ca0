/**
 * What befalls the nodes, one kind after the other, each seen for itself. Unless a phase says that reads may be refused, one
 * node of a shard at most is struck at a time, and the next only when every query API would read each node of the shard: then
 * no reader may see anything of it.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClickHouseNode } from '../../support/clickhouse-node.ts';
import { fill } from '../storm.ts';
import { untilRead, watchLags } from './node-states.ts';
import type { NodesStage } from './stage.ts';

export interface StormReport {
  /** Faults that struck while clicks were on their way. */
  readonly struck: ReadonlyMap<string, number>;
  readonly killsByNode: ReadonlyMap<string, number>;
  /** By kind: from when a node was there again until every query API would read it, ms. */
  readonly recoveries: ReadonlyMap<string, readonly number[]>;
  readonly notes: readonly string[];
  readonly problems: readonly string[];
}

/** What the phases work on. */
interface Storm {
  readonly stage: NodesStage;
  readonly note: (text: string) => void;
  readonly problem: (text: string) => void;
  readonly isOver: () => boolean;
  readonly count: (what: string) => number;
  struck(what: string): boolean;
  /** Kills it, whatever else; a kill that counts is one under load. */
  kill(node: ClickHouseNode, what?: string): Promise<void>;
  /** Waits until each may be read again, and notes how long that took. */
  recovered(kind: string, nodes: readonly ClickHouseNode[]): Promise<number>;
}

export async function runStorm(stage: NodesStage, say: (line: string) => void): Promise<StormReport> {
  const { round, load, weather, nodes } = stage;
  const struck = new Map<string, number>();
  const killsByNode = new Map<string, number>();
  const recoveries = new Map<string, number[]>();
  const [notes, problems]: [string[], string[]] = [[], []];
  const endsAt = Date.now() + round.longestStormMs;
  let [lastAcked, ackedAt] = [load.acked, 0];
  const watching = setInterval(() => {
    if (load.acked > lastAcked) ackedAt = Date.now();
    lastAcked = load.acked;
  }, 50);
  const storm: Storm = {
    stage,
    note: text => notes.push(text),
    problem: text => problems.push(text),
    isOver: () => Date.now() > endsAt,
    count: what => struck.get(what) ?? 0,
    struck(what) {
      if (load.inFlight === 0 && Date.now() - ackedAt > 1_000) return false;
      struck.set(what, (struck.get(what) ?? 0) + 1);
      return true;
    },
    async kill(node, what = 'node killed') {
      if (storm.struck(what)) killsByNode.set(node.name, (killsByNode.get(node.name) ?? 0) + 1);
      await node.kill();
    },
    async recovered(kind, which) {
      const tookMs = await untilRead(stage.queryApis, which);
      recoveries.set(kind, [...(recoveries.get(kind) ?? []), tookMs]);
      return tookMs;
    },
  };
  const asking = askForJobs(storm);
  try {
    await untilRead(stage.queryApis, nodes);
    for (const [name, phase] of Object.entries(phases)) {
      weather.enter(name);
      const from = Date.now();
      await phase(storm);
      say(
        `${round.name}: ${name}, ${Math.round((Date.now() - from) / 1_000)} s; ${storm.count('node killed')} kills, ${load.acked} clicks acked`,
      );
    }
  } catch (error) {
    problems.push(`I8 comes back: ${error}`);
  }
  weather.enter('calm');
  await asking.stop();
  clearInterval(watching);
  return { struck, killsByNode, recoveries, notes, problems };
}

const phases: Readonly<Record<string, (storm: Storm) => Promise<void>>> = {
  'a node away': away,
  'disk full': diskFull,
  'a node stopped': paused,
  'a node rebuilt': rebuilt,
  'kill -9': killed,
  'kill -9, any': wildlyKilled,
  'no sink': withoutSinks,
  'a shard away': dark,
};

/** Of one shard, one at a time, as long as it is wanted; now and then a sink as well, while the node is away. */
async function killsIn(storm: Storm, own: readonly ClickHouseNode[], isWanted: () => boolean): Promise<void> {
  const { stage, count, isOver } = storm;
  const { round, queryApis, sinks } = stage;
  for (let turn = 0; isWanted() && !isOver(); turn++) {
    const node = own[turn % own.length]!;
    await untilRead(queryApis, own);
    await sleep(Math.random() * 1_500);
    if (!isWanted()) return;
    await storm.kill(node);
    await sleep(Math.random() * 1_000);
    if (count('sink killed') < round.sinkKills && Math.random() < (1.5 * round.sinkKills) / round.kills) {
      storm.struck('sink killed');
      await sinks[Math.floor(Math.random() * sinks.length)]!.kill();
      await sleep(Math.random() * 500);
    }
    await node.start();
    await storm.recovered('kill -9', [node]);
  }
}

async function killed(storm: Storm): Promise<void> {
  const { stage, count } = storm;
  await Promise.all(stage.shards.map(own => killsIn(storm, own, () => count('node killed') < stage.round.kills)));
}

/** While one is away, nodes of other shards are killed. */
async function away(storm: Storm): Promise<void> {
  const { shards, round, sinks } = storm.stage;
  const node = shards[0]![1]!;
  const lags = watchLags(storm.stage.queryApis, siblingsOf(storm, node));
  let isAway = true;
  const others = shards
    .slice(1)
    .map(own => killsIn(storm, own, () => isAway && storm.count('node killed') < round.kills));
  await storm.kill(node);
  for (const sink of sinks) {
    await sleep(round.awayMs / 3);
    storm.struck('sink killed');
    await sink.kill();
  }
  await sleep(round.awayMs / 3);
  await node.start();
  storm.struck('node away');
  const tookMs = await storm.recovered('away', [node]);
  isAway = false;
  await Promise.all(others);
  storm.note(
    `a node away ${round.awayMs / 1_000} s: read again ${seconds(tookMs)} after it was back; its replica was ${seconds(await lags.stop())} behind at most`,
  );
}

/** Its directory is a small file system of its own, which is kept full to the last byte. */
async function diskFull(storm: Storm): Promise<void> {
  const { round, smallDisk: node, sinks, queryApis, load } = storm.stage;
  if (node === undefined) return;
  await untilRead(queryApis, storm.stage.nodes);
  const before = sinks.map(sink => sink.logs().length);
  const lags = watchLags(queryApis, siblingsOf(storm, node));
  const fillers: string[] = [];
  const acked = load.acked;
  storm.struck('disk full');
  const until = Date.now() + round.diskFullMs;
  while (Date.now() < until) {
    const filler = join(node.dataDir, `filler-${fillers.length}`);
    fillers.push(filler);
    await fill(filler);
    await sleep(500);
  }
  const said = sinks
    .map((sink, i) =>
      /no space left on ClickHouse's disk|No space left|NOT_ENOUGH_SPACE|Cannot reserve/.exec(
        sink.logs().slice(before[i]),
      ),
    )
    .find(found => found !== null)?.[0];
  if (said === undefined) storm.problem('I11 not hit: no sink said that the disk was full');
  for (const filler of fillers) rmSync(filler, { force: true });
  const tookMs = await storm.recovered('disk full', [node]);
  storm.note(
    `disk full ${round.diskFullMs / 1_000} s: the sink said "${said}", and ${load.acked - acked} clicks were accepted meanwhile; the node was read again ` +
      `${seconds(tookMs)} after there was space; its replica was ${seconds(await lags.stop())} behind at most`,
  );
}

async function paused(storm: Storm): Promise<void> {
  const { shards, round, queryApis, nodes } = storm.stage;
  for (let turn = 0; turn < round.pauses && !storm.isOver(); turn++) {
    const own = shards[turn % shards.length]!;
    const node = own[(turn >> 1) % own.length]!;
    await untilRead(queryApis, nodes);
    node.signal('SIGSTOP');
    storm.struck('node stopped');
    await sleep(5_000 + Math.random() * 15_000);
    node.signal('SIGCONT');
    await storm.recovered('stopped', [node]);
  }
}

async function rebuilt(storm: Storm): Promise<void> {
  const { shards, round, queryApis, nodes } = storm.stage;
  for (let turn = 0; turn < round.rebuilds && !storm.isOver(); turn++) {
    const own = shards[turn % shards.length]!;
    // The one that is preferred, then another.
    const node = own[turn % own.length]!;
    await untilRead(queryApis, nodes);
    await storm.kill(node);
    node.removeDirectory();
    await sleep(1_000);
    await node.start();
    storm.struck('node emptied');
    const tookMs = await storm.recovered('rebuilt', [node]);
    const rows = await rowsIn(node);
    storm.note(
      `an emptied node had ${rows} rows again, and was read, after ${seconds(tookMs)}, of which it stays without tables for 15 s: ` +
        `${Math.round(rows / Math.max(1, tookMs / 1_000 - 15))} rows/s`,
    );
  }
}

/** Any node at any time, two at once. */
async function wildlyKilled(storm: Storm): Promise<void> {
  const { round, nodes, weather } = storm.stage;
  if (round.wildKills === 0) return;
  using _ = weather.mayRefuse();
  const busy = new Set<ClickHouseNode>();
  const work = async () => {
    while (storm.count('node killed, any') < round.wildKills && !storm.isOver()) {
      const free = nodes.filter(node => !busy.has(node));
      const node = free[Math.floor(Math.random() * free.length)]!;
      busy.add(node);
      await storm.kill(node, 'node killed, any');
      await sleep(Math.random() * 1_500);
      await node.start();
      busy.delete(node);
      await sleep(Math.random() * 500);
    }
  };
  await Promise.all([work(), work()]);
  await storm.recovered('kill -9, any', nodes);
}

/** Numbers stand still; they are told all the same, whichever replica has a moment's more of which partition. */
async function withoutSinks(storm: Storm): Promise<void> {
  const { round, sinks, queryApis, nodes } = storm.stage;
  await untilRead(queryApis, nodes);
  for (const sink of sinks) await sink.down('SIGKILL');
  storm.struck('no sink');
  await sleep(round.sinklessMs);
  for (const sink of sinks) sink.up();
  await storm.recovered('no sink', nodes);
}

/** All nodes of a shard at once: no number may be told, and clicks are taken all the same. */
async function dark(storm: Storm): Promise<void> {
  const { shards, round, queryApis, nodes, weather, load } = storm.stage;
  for (const [shard, own] of shards.entries()) {
    if (storm.isOver()) return;
    await untilRead(queryApis, nodes);
    const acked = load.acked;
    const refused = weather.mayRefuse();
    await Promise.all(own.map(node => storm.kill(node, 'node killed with its shard')));
    storm.struck('shard away');
    const told = weather.mustRefuse();
    await sleep(round.darkMs);
    told[Symbol.dispose]();
    if (load.acked === acked) storm.problem(`I8: no click was accepted while shard ${shard} was away`);
    const during = load.acked - acked;
    await Promise.all(own.map(node => node.start()));
    const tookMs = await storm.recovered('shard away', nodes);
    refused[Symbol.dispose]();
    storm.note(
      `shard ${shard} away ${round.darkMs / 1_000} s: ${during} clicks were accepted meanwhile; read again ${seconds(tookMs)} after its nodes were back`,
    );
  }
}

/** As people ask for them, of one query API or another: replays that are applied, and reconciliations. */
function askForJobs({ stage, struck }: Storm) {
  const { queryApis } = stage;
  let isOver = false;
  const running = (async () => {
    for (let turn = 0; !isOver; turn++) {
      await sleep(15_000);
      const now = Date.now();
      const to = now - (now % 60_000) - 10 * 60_000;
      const [path, more] = turn % 2 === 0 ? ['replays', { apply: true }] : ['reconciliations', {}];
      const asked = await fetch(`${queryApis[turn % queryApis.length]!.url}/v1/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ from: to - 4 * 3_600_000, to, ...more }),
      }).catch(() => undefined);
      await asked?.body?.cancel();
      if (asked?.status === 202) struck(path === 'replays' ? 'replay asked for' : 'reconciliation asked for');
    }
  })();
  return {
    async stop() {
      isOver = true;
      await running;
    },
  };
}

function siblingsOf({ stage }: Storm, node: ClickHouseNode): readonly ClickHouseNode[] {
  return stage.shards.filter(own => own.includes(node)).flatMap(own => own.filter(other => other !== node));
}

async function rowsIn({ clickhouse }: ClickHouseNode): Promise<number> {
  const [row] = await clickhouse.query<{ n: number }>(
    'SELECT (SELECT count() FROM click_raw FINAL) + (SELECT count() FROM ad_minute FINAL) + (SELECT count() FROM ad_minute_by_ad FINAL) AS n',
  );
  return row?.n ?? 0;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
