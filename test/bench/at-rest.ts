/**
 * What `npm start` takes while nobody posts or asks anything, process by process, and how long it takes to be ready:
 * `npm run bench:at-rest -- [--seconds 60] [--settle 30] [--threads] [NAME=value …] [--json FILE]` (Linux).
 *
 * A directory of its own, first start, stop, second start, a pause, then the books of the system over the given seconds:
 * CPU is what the processes themselves have used, so a busy machine does not make it more. Memory is told as RSS, what
 * `top` shows, in which each process counts the pages of the Node program that all of them share, and of the whole as
 * what it really is: what is each process' own, and every file once. (PSS would not do: it also shares with programs
 * that have nothing to do with us.) A click is posted after the second start: a pipeline that has never counted is none
 * at rest.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { scriptOptions } from '../support/script-options.ts';
import { rowOf, tell } from './bench-row.ts';
import { type ProcessBooks, readBooks, threadsOf, togetherMb } from './process-books.ts';

const { values: options, positionals } = scriptOptions(import.meta.filename, {
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    settle: { type: 'string', default: '30' },
    threads: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const seconds = Number(options.seconds);
const readyTimeoutMs = 120_000;
const anyPort = [
  ...['INGEST_PORT', 'QUERY_API_PORT', 'AGGREGATOR_PORT', 'SINK_PORT', 'JOBS_PORT', 'KAFKA_PORT'],
  ...['CLICKHOUSE_HTTP_PORT', 'CLICKHOUSE_TCP_PORT'],
];

const dataDir = mkdtempSync(join(tmpdir(), 'bench-at-rest-'));
using _ = { [Symbol.dispose]: () => rmSync(dataDir, { recursive: true, force: true }) };
const first = await start();
await first.stop();
const second = await start();
try {
  await postOne(second.output());
  await sleep(Number(options.settle) * 1_000);
  report(await measure(second.child.pid ?? 0));
} finally {
  await second.stop();
}

interface Measured extends ProcessBooks {
  readonly name: string;
}

async function measure(supervisor: number): Promise<Measured[]> {
  const pids = new Map([['supervisor', supervisor], ...childrenOf(dataDir)]);
  const before = new Map([...pids].map(([name, pid]) => [name, readBooks(pid)]));
  const threads = options.threads ? [...pids].map(([name, pid]) => ({ name, threads: threadsOf(pid) })) : [];
  await sleep(seconds * 1_000);
  for (const { name, threads: earlier } of threads) tellThreads(name, earlier, threadsOf(pids.get(name) ?? 0));
  return [...pids].map(([name, pid]) => {
    const [then, now] = [before.get(name), readBooks(pid)];
    return {
      name,
      ...now,
      cpuSeconds: now.cpuSeconds - (then?.cpuSeconds ?? 0),
      switches: now.switches - (then?.switches ?? 0),
    };
  });
}

function report(processes: readonly Measured[]): void {
  const sum = (of: (process: Measured) => number) => processes.reduce((all, process) => all + of(process), 0);
  const percent = ({ cpuSeconds }: { cpuSeconds: number }) => (cpuSeconds / seconds) * 100;
  const lines = processes.map(each => line(each.name, percent(each), each.rssMb, each.ownMb, each.switches / seconds));
  const all = line(
    'all',
    sum(percent),
    sum(p => p.rssMb),
    sum(p => p.ownMb),
    sum(p => p.switches) / seconds,
  );
  const head = ['| | % of a core | RSS, MB | of it its own | switches/s |', '| --- | ---: | ---: | ---: | ---: |'];
  console.log([...head, ...lines, all].join('\n'));
  tell(
    [
      rowOf('ready, first start', first.readySeconds, 's'),
      rowOf('ready, second start', second.readySeconds, 's'),
      rowOf('at rest, CPU of all processes', sum(percent), '% of one core'),
      rowOf('at rest, memory of all processes, each file once', togetherMb(processes), 'MB'),
      rowOf(
        'at rest, RSS of all processes added up',
        sum(p => p.rssMb),
        'MB',
      ),
    ],
    options.json,
  );
}

function line(name: string, percent: number, rssMb: number, ownMb: number, switches: number): string {
  return `| ${name} | ${percent.toFixed(2)} | ${rssMb.toFixed(0)} | ${ownMb.toFixed(0)} | ${switches.toFixed(0)} |`;
}

type Threads = ReturnType<typeof threadsOf>;

/** The busiest ten, by name: what wakes up. */
function tellThreads(process: string, earlier: Threads, now: Threads): void {
  const used = new Map<string, { cpuMs: number; switches: number }>();
  for (const [id, { name, cpuMs, switches }] of now) {
    const then = earlier.get(id) ?? { cpuMs: 0, switches: 0 };
    const before = used.get(name) ?? { cpuMs: 0, switches: 0 };
    used.set(name, {
      cpuMs: before.cpuMs + cpuMs - then.cpuMs,
      switches: before.switches + switches - then.switches,
    });
  }
  const busiest = [...used].toSorted(([, a], [, b]) => b.cpuMs - a.cpuMs).slice(0, 10);
  console.log(`${process}: ${now.size} threads`);
  for (const [name, { cpuMs, switches }] of busiest)
    console.log(`  ${name}: ${(cpuMs / seconds / 10).toFixed(3)} %, ${(switches / seconds).toFixed(1)} switches/s`);
}

interface Start {
  readonly child: ChildProcess;
  readonly readySeconds: number;
  output(): string;
  stop(): Promise<void>;
}

/** As `npm start` does, on free ports. */
async function start(): Promise<Start> {
  const root = join(import.meta.dirname, '../..');
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [, ...program] = String(scripts.start).split(' ');
  const child = spawn(process.execPath, [...program, ...positionals], {
    cwd: root,
    env: { PATH: process.env['PATH'], DATA_DIR: dataDir, ...Object.fromEntries(anyPort.map(name => [name, '0'])) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  for (let waitedMs = 0; ; waitedMs += 20) {
    const ready = /ready in ([\d.]+) s/.exec(said);
    if (ready) return { child, readySeconds: Number(ready[1]), output: () => said, stop };
    if (child.exitCode !== null || waitedMs > readyTimeoutMs) {
      await stop();
      throw new Error(`npm start is not ready:\n${said}`);
    }
    await sleep(20);
  }
}

async function postOne(greeting: string): Promise<void> {
  const url = /(http:\S+\/v1\/clicks)/.exec(greeting)?.[1] ?? '';
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ad_id: 'ad-1', event_id: 'at-rest', clicked_at: Date.now() }),
  });
  if (answer.status !== 202) throw new Error(`POST ${url}: ${answer.status} ${await answer.text()}`);
}

/** What `npm start` has written down of its children, and the broker. */
function childrenOf(dataDir: string): [string, number][] {
  const pidIn = (path: string) => Number.parseInt(readFileSync(path, 'utf8'), 10);
  const children = readdirSync(join(dataDir, 'children')).map((name): [string, number] => {
    return [name, pidIn(join(dataDir, 'children', name))];
  });
  return [['broker', pidIn(join(dataDir, 'kafka', 'broker.pid'))], ...children];
}
