/** The disturbances besides the step-points: brokers, links, members, disks, records that are no clicks. */
import { createWriteStream, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stage } from './round.ts';
import { httpReply } from './tcp-proxy.ts';

export type Disturbance = (stage: Stage) => Promise<void>;

export const disturbances: readonly Disturbance[] = [bounces, links, members, records, replays, diskAndBrokersAway];

/** The broker, killed and stopped in turn. */
async function bounces({ goal, broker, isOver, struck, count }: Stage): Promise<void> {
  for (let turn = 0; count('broker killed') + count('broker stopped') < goal.bounces && !isOver(); turn++) {
    await sleep(3_000 + Math.random() * 3_000);
    const how = turn % 2 === 0 ? 'SIGKILL' : 'SIGTERM';
    struck(how === 'SIGKILL' ? 'broker killed' : 'broker stopped');
    await broker.end(how);
    await sleep(Math.random() * 2_000);
    await broker.start();
  }
}

/** One after the other, when nothing else goes wrong: each is to be seen for itself. */
async function diskAndBrokersAway(stage: Stage): Promise<void> {
  await disk(stage);
  await brokersAway(stage);
}

async function brokersAway({ goal, broker, load, victims, struck, note, calmed }: Stage): Promise<void> {
  if (goal.awayMs === 0) return;
  await calmed();
  const ingest = victims.find(victim => victim.name === 'ingest-1');
  const before = rssMb(ingest?.pid);
  const unavailable = load.unavailable;
  const acked = load.acked;
  struck('brokers away');
  await broker.end('SIGKILL');
  await sleep(goal.awayMs);
  const during = rssMb(ingest?.pid);
  await broker.start();
  const backAt = Date.now();
  const ackedBefore = load.acked;
  while (load.acked === ackedBefore && Date.now() - backAt < 60_000) await sleep(50);
  note(
    `brokers away ${goal.awayMs / 1_000} s: ingest answered 503 to ${load.unavailable - unavailable} posts, its memory went from ` +
      `${before} to ${during} MB; it accepted clicks again ${((Date.now() - backAt) / 1_000).toFixed(1)} s after the broker was back ` +
      `(${load.acked - acked} acked since they left)`,
  );
}

/** Of Kafka: Produce, OffsetCommit, the group's calls, and all of transactions. */
const apis: Readonly<Record<string, number>> = {
  Produce: 0,
  Fetch: 1,
  ListOffsets: 2,
  OffsetCommit: 8,
  OffsetFetch: 9,
  JoinGroup: 11,
  Heartbeat: 12,
  SyncGroup: 14,
  InitProducerId: 22,
  AddPartitionsToTxn: 24,
  AddOffsetsToTxn: 25,
  EndTxn: 26,
  TxnOffsetCommit: 28,
};

/** Replies cut after the work was done: of each kind of request about as many. */
async function links({ goal, broker, httpCutters, isOver, struck, count }: Stage): Promise<void> {
  const kinds = [['HTTP', httpReply] as const, ...Object.entries(apis)].map(([name, key]) => ({ name, key, tried: 0 }));
  const noticed = new Map<number, number>();
  const cutSoFar = (key: number) =>
    [...httpCutters, broker.cutter].reduce((sum, cutter) => sum + (cutter.cuts.get(key) ?? 0), 0);
  for (let turn = 0; count('cut') < goal.cuts && !isOver(); turn++) {
    // Some requests are rare: one that was waited for in vain gives way to others.
    const kind = kinds.reduce((least, next) => (next.tried < least.tried ? next : least));
    kind.tried++;
    const before = cutSoFar(kind.key);
    if (kind.key === httpReply) httpCutters[turn % httpCutters.length]!.arm();
    else broker.cutter.arm(kind.key);
    for (let waited = 0; waited < 1_500 && cutSoFar(kind.key) === before; waited += 50) await sleep(50);
    for (const { name, key } of kinds) {
      for (let seen = noticed.get(key) ?? 0; seen < cutSoFar(key); seen++) if (struck(`cut ${name}`)) struck('cut');
      noticed.set(key, cutSoFar(key));
    }
    await sleep(100);
  }
}

/** A member comes and goes every two seconds. */
async function members({ goal, newAggregator, isOver, struck, count }: Stage): Promise<void> {
  while (count('member joined') < goal.joins && !isOver()) {
    const member = await newAggregator();
    await sleep(2_000);
    struck('member joined');
    await member[Symbol.asyncDispose]();
    await sleep(2_000);
  }
}

async function records({ goal, poison, isOver, struck, count }: Stage): Promise<void> {
  for (let serial = 1; count('poison') < goal.poisons && !isOver(); serial++) {
    const sent = await poison(serial).catch(() => 0);
    for (let i = 0; i < sent; i++) struck('poison');
    await sleep(500);
  }
}

/** As people ask for them: of three hours, now and then, as many as are taken. */
async function replays({ goal, queryApiUrl, isOver, hasStruck, struck }: Stage): Promise<void> {
  if (!goal.replays) return;
  while (!hasStruck() && !isOver()) {
    await sleep(2_000);
    const to = Date.now() - (Date.now() % 60_000) - 10 * 60_000;
    const body = JSON.stringify({ from: to - 4 * 3_600_000, to, apply: true });
    const headers = { 'content-type': 'application/json' };
    const asked = await fetch(`${queryApiUrl}/v1/replays`, { method: 'POST', headers, body }).catch(() => undefined);
    if (asked?.status === 202) struck('replay asked for');
  }
}

/** The database's directory is a small file system of its own, which is filled to the last byte. */
async function disk({ goal, dataDir, victims, struck, note, calmed }: Stage): Promise<void> {
  if (goal.diskFullMs === 0) return;
  await calmed();
  const filler = join(dataDir, 'filler');
  const sink = victims.find(victim => victim.name === 'sink');
  const log = sink?.logs().length ?? 0;
  await fill(filler);
  struck('disk full');
  await sleep(goal.diskFullMs);
  const said = sink
    ?.logs()
    .slice(log)
    .match(/No space left|NOT_ENOUGH_SPACE|Cannot reserve/)?.[0];
  rmSync(filler, { force: true });
  const freedAt = Date.now();
  const isReady = () =>
    fetch(`${sink?.url}/readyz`).then(
      answer => answer.ok,
      () => false,
    );
  while (!(await isReady()) && Date.now() - freedAt < 60_000) await sleep(200);
  note(
    `disk full for ${goal.diskFullMs / 1_000} s: the sink ${said === undefined ? 'did not say so' : `said "${said}"`}; ` +
      `it was ready again ${((Date.now() - freedAt) / 1_000).toFixed(1)} s after there was space`,
  );
}

export async function fill(path: string): Promise<void> {
  const block = Buffer.alloc(1 << 20, 1);
  await new Promise<void>(resolve => {
    const stream = createWriteStream(path);
    const more = () => {
      while (stream.writable && stream.write(block)) {
        // Until the stream or the disk is full.
      }
    };
    stream.on('drain', more);
    stream.on('error', () => resolve());
    more();
  });
}

function rssMb(pid: number | undefined): number {
  try {
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024);
  } catch {
    return 0;
  }
}
