/**
 * One of the pipeline's processes under a fault bench: kept running as its supervisor would, and at each start told of a
 * step-point at which it is to end, stop or fail. A process that does not come by its step-point in time is killed where
 * it stands.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileCache } from '../../infra/compile-cache.ts';
import type { FaultPlan } from './fault-book.ts';

export interface VictimOptions {
  readonly name: string;
  /** The program, a path in the repository. */
  readonly main: string;
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  /** Of a SIGSTOP; left out: `zombieMs`. */
  readonly stoppedMs?: number;
  /** For the step-points' messages. */
  readonly scratch: string;
  /** The fault of the next life; undefined: none. */
  plan(): FaultPlan | undefined;
  /** A fault has struck. */
  onHit(plan: FaultPlan): void;
  /** The process has not come by its step-point in time. */
  onMissed?(plan: FaultPlan): void;
  /** It answers, after a start; and it is about to be started, or, hit before, to end. */
  onWell?(isWell: boolean): void;
  /** It ended by itself. */
  onExit(reason: string): void;
}

export interface Victim extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  logs(): string;
  ready(timeoutMs: number): Promise<void>;
  /** SIGKILL, now; it is started again. */
  kill(): Promise<void>;
  /** Ends it and keeps it down until `up`. */
  down(signal: NodeJS.Signals): Promise<void>;
  up(): void;
}

const root = join(import.meta.dirname, '../..');
const preload = join(import.meta.dirname, 'preload.ts');
/** `MUTATION=<name> npm run faults`: with that bug in all processes, to see the bench notice it. */
const mutation = process.env['MUTATION'] ?? '';
const planted = mutation === '' ? [] : ['--import', join(root, 'test/mutations/preload.ts')];
/**
 * A step-point that is not reached within this time is given up. The time begins when the process answers: on a busy
 * machine the start alone takes as long.
 */
const patienceMs = 12_000;
/** A process that does not answer by then is killed where it stands. */
const longestStartMs = 45_000;
/** Late minutes are restated when it has been quiet for a while. */
const restatementPatienceMs = 60_000;
/** Longer than any session timeout of the bench: others take over. */
export const zombieMs = 8_000;
/** What a zombie may do once it is awake, or who has lost an answer, before it is killed to be given the next fault. */
const aftermathMs = 2_500;

/** Whatever ends the bench ends them too, a stopped one as well. */
const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export function startVictim(options: VictimOptions): Victim {
  return new Child(options);
}

class Child implements Victim {
  readonly #options: VictimOptions;
  readonly #running: Promise<void>;
  #child: ChildProcess | undefined;
  #log = '';
  #isWanted = true;
  #isClosed = false;
  #lives = 0;

  constructor(options: VictimOptions) {
    this.#options = options;
    this.#running = this.#live();
  }

  get name(): string {
    return this.#options.name;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#options.port}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  logs(): string {
    return this.#log;
  }

  async ready(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    let last = '';
    while (Date.now() < deadline) {
      try {
        const response = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(2_000) });
        if (response.ok) return;
        last = await response.text();
      } catch (error) {
        last = String(error);
      }
      await sleep(100);
    }
    throw new Error(`${this.name} is not ready after ${timeoutMs} ms: ${last}\n${this.#log.slice(-6_000)}`);
  }

  async kill(): Promise<void> {
    await end(this.#child, 'SIGKILL');
  }

  async down(signal: NodeJS.Signals): Promise<void> {
    this.#isWanted = false;
    await end(this.#child, signal);
  }

  up(): void {
    this.#isWanted = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await end(this.#child, 'SIGKILL');
    await this.#running;
  }

  async #live(): Promise<void> {
    while (!this.#isClosed) {
      if (this.#isWanted) await this.#liveOnce(this.#options.plan());
      else await sleep(50);
    }
  }

  async #liveOnce(plan: FaultPlan | undefined): Promise<void> {
    const { name, main, env, port, scratch, onExit, onWell } = this.#options;
    onWell?.(false);
    const notice = join(scratch, `${name}-${++this.#lives}.hit`);
    writeFileSync(notice, '');
    const child = spawn(
      process.execPath,
      [
        ...planted,
        '--disable-warning=TimeoutNegativeWarning',
        ...(plan ? ['--import', preload] : []),
        join(root, main),
      ],
      {
        env: {
          PATH: process.env['PATH'],
          MUTATION: mutation,
          NODE_COMPILE_CACHE: compileCache,
          DRAIN_DELAY_MS: '0',
          ...env,
          [portKeyOf(main)]: String(port),
          ...(plan
            ? { CRASH_AT: plan.step, CRASH_NTH: String(plan.nth), CRASH_ACTION: plan.action, CRASH_LOG: notice }
            : {}),
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.#child = child;
    alive.add(child);
    child.once('exit', () => alive.delete(child));
    const keep = (chunk: Buffer) => {
      this.#log = (this.#log + chunk.toString()).slice(-400_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const exited = new Promise<void>(resolve => child.once('exit', () => resolve()));
    let answersSince: number | undefined;
    void this.#untilItAnswers(child).then(answers => {
      if (!answers) return;
      answersSince = Date.now();
      onWell?.(true);
    });
    const hasHit = () => readFileSync(notice, 'utf8') !== '';
    if (plan !== undefined) await this.#suffer(child, plan, { hasHit, exited, answersSince: () => answersSince });
    await exited;
    // A supervisor waits a little, too; and the machine is to be busy with clicks, not with starting programs.
    if (plan !== undefined) await sleep(300 + Math.random() * 1_200);
    if (child.signalCode !== null || this.#isClosed || !this.#isWanted) return;
    onExit(`${name} exited with code ${child.exitCode}: ${lastLine(this.#log)}`);
    await sleep(300);
  }

  async #suffer(child: ChildProcess, plan: FaultPlan, { hasHit, exited, answersSince }: Life): Promise<void> {
    const { onHit, onMissed } = this.#options;
    const startedAt = Date.now();
    const patience = plan.step.startsWith('restatement') ? restatementPatienceMs : patienceMs;
    const deadline = () => {
      const since = answersSince();
      return since === undefined ? startedAt + longestStartMs : since + patience;
    };
    const isOver = () => child.exitCode !== null || child.signalCode !== null;
    while (!hasHit() && !isOver() && Date.now() < deadline()) await Promise.race([sleep(50), exited]);
    if (hasHit()) {
      onHit(plan);
      if (plan.action === 'stop') {
        await Promise.race([sleep(this.#options.stoppedMs ?? zombieMs), exited]);
        child.kill('SIGCONT');
      }
      if (plan.action !== 'kill') await Promise.race([sleep(aftermathMs), exited]);
    } else if (!isOver()) {
      onMissed?.(plan);
      onHit({ ...plan, step: `${plan.step.split(':')[0]}: anywhere`, action: 'kill' });
    }
    this.#options.onWell?.(false);
    child.kill('SIGKILL');
  }

  /** False: it has ended, or was stopped, before. */
  async #untilItAnswers(child: ChildProcess): Promise<boolean> {
    while (child.exitCode === null && child.signalCode === null) {
      const isAnswered = await fetch(`${this.url}/healthz`, { signal: AbortSignal.timeout(1_000) }).then(
        ({ ok }) => ok,
        () => false,
      );
      if (isAnswered) return child === this.#child && child.signalCode === null;
      await sleep(50);
    }
    return false;
  }
}

/** What is known of one life of a process. */
interface Life {
  readonly hasHit: () => boolean;
  readonly exited: Promise<void>;
  /** Epoch ms; undefined while it starts. */
  readonly answersSince: () => number | undefined;
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()));
  child.kill('SIGCONT');
  child.kill(signal);
  const force = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await exited;
  clearTimeout(force);
}

/** By the program a process runs. */
const portKeys: Readonly<Record<string, string>> = {
  'ingest/main.ts': 'INGEST_PORT',
  'aggregator/main.ts': 'AGGREGATOR_PORT',
  'aggregator/sink/main.ts': 'SINK_PORT',
  'query-api/main.ts': 'QUERY_API_PORT',
  'query-api/jobs/main.ts': 'JOBS_PORT',
};

function portKeyOf(main: string): string {
  const key = portKeys[main];
  if (key === undefined) throw new Error(`${main}: no port key is known for this program`);
  return key;
}

function lastLine(log: string): string {
  return log.trimEnd().split('\n').at(-1)?.slice(0, 400) ?? '';
}
