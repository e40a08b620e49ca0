/**
 * One round on three brokers: its faults one after the other under load, then calm, and at last every promise: the whole
 * log as Kafka's own consumer reads it against the ledger, the counts against the log, the store against both.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkAll } from '../checks.ts';
import { gather } from '../evidence.ts';
import { startReader } from '../reader.ts';
import { booksBalance, comeToRest, recountAll } from '../rest.ts';
import { mountSmallDisk } from '../small-disk.ts';
import { type Availability, availabilityOf } from './availability.ts';
import { checkLog } from './log-checks.ts';
import type { ClusterRound } from './rounds.ts';
import { type ClusterStage, openClusterStage } from './stage.ts';
import { type Strike, strike } from './strikes.ts';

export interface ClusterReport {
  readonly name: string;
  readonly seconds: number;
  readonly leaderMoves: number;
  readonly acked: number;
  readonly unknown: number;
  readonly refused: number;
  readonly heldBack: number;
  /** Distinct clicks in the log. */
  readonly inLog: number;
  readonly availability: readonly Availability[];
  readonly exits: readonly string[];
  readonly violations: readonly string[];
}

const load = { singlesPerSecond: 120, batchesPerSecond: 12, clicksPerBatch: 24 };
const countedWithinMs = 120_000;

export async function runClusterRound(
  round: ClusterRound,
  scratch: string,
  say: (line: string) => void,
): Promise<ClusterReport> {
  const startedAt = Date.now();
  const { smallDisk } = round;
  const prepare = async (id: number, logs: string) => (id === smallDisk ? await mountSmallDisk(logs) : undefined);
  await using stage = await openClusterStage({ scratch, withStore: true, load, cluster: { links: true, prepare } });
  const { queryApi } = stage;
  if (queryApi === undefined) throw new Error('a round needs the store');
  say(`${round.name}: ready after ${seconds(Date.now() - startedAt)} s`);
  const reader = startReader(queryApi.url, []);
  await sleep(3_000);

  const strikes: Strike[] = [];
  const violations: string[] = [];
  try {
    for (const fault of round.faults) {
      strikes.push(await strike(stage, await fault(stage), line => say(`${round.name}: ${line}`)));
    }
  } catch (error) {
    violations.push(`I11 not hit: ${error}`);
  }
  await stage.load.stop();
  const leaderMoves = stage.leaderMoves();
  stage.load.write(join(scratch, 'ledger.jsonl'));
  violations.push(...(await finalChecks(stage, reader)));
  for (const victim of stage.victims) writeFileSync(join(scratch, `${victim.name}.log`), victim.logs());
  writeFileSync(join(scratch, 'brokers.log'), stage.cluster.lastWords());
  const log = await stage.readLog();
  const ledger = stage.load.ledger();
  violations.push(...checkLog(ledger, log, stage.partitions));
  const availability = availabilityOf(strikes, stage.load.posts, log.aggregates, stage.partitions);
  for (const { kind, wronglyAcked } of availability) {
    if (wronglyAcked > 0) violations.push(`I1: ${wronglyAcked} posts acknowledged with too few replicas (${kind})`);
  }
  if (leaderMoves < round.leastLeaderMoves)
    violations.push(`I11 not hit: ${leaderMoves} leader moves of ${round.leastLeaderMoves}`);
  const fates = [...ledger.values()].map(({ fate }) => fate);
  const count = (fate: string) => fates.filter(each => each === fate).length;
  return {
    name: round.name,
    seconds: seconds(Date.now() - startedAt),
    leaderMoves,
    acked: count('acked'),
    unknown: count('unknown'),
    refused: count('refused'),
    heldBack: stage.load.heldBack,
    inLog: new Set(log.clicks.map(({ line }) => (JSON.parse(line) as { event_id: string }).event_id)).size,
    availability,
    exits: [...stage.exits],
    violations,
  };
}

/** I3–I10, as on one broker: with the store, once it has come to rest. */
async function finalChecks(stage: ClusterStage, reader: ReturnType<typeof startReader>): Promise<string[]> {
  const { queryApi, sink, victims, cluster, admin, names, partitions, clickHouse, scratch, load: clients } = stage;
  const violations: string[] = [];
  if (queryApi === undefined || clickHouse === undefined) return violations;
  const lastClickAt = Date.now();
  try {
    for (const victim of victims) await victim.ready(90_000);
    await stage.counted(countedWithinMs);
    const rest = await comeToRest(queryApi.url, lastClickAt);
    if (rest.problem !== undefined) violations.push(`I8 comes to rest: ${rest.problem}`);
    violations.push(...(await recountAll(queryApi.url, hourBefore(lastClickAt), rest.finalUntil)));
    violations.push(...(await booksBalance(queryApi.url)));
  } catch (error) {
    violations.push(`I8 comes to rest: ${error}`);
  }
  const seen = await reader.stop();
  await sink?.down('SIGTERM');
  const read = (topic: string) => cluster.control.read(topic, join(scratch, `${topic}.tsv`));
  const evidence = await gather({ brokers: cluster.direct, admin, names, partitions, clickHouse, read });
  violations.push(...checkAll(new Map(clients.ledger()), evidence, seen, true));
  return violations;
}

/** A whole minute. */
function hourBefore(at: number): number {
  return at - (at % 60_000) - 3_600_000;
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
