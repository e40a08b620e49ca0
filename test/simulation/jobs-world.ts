/**
 * Job runners in one thread: the real lease, terms and job log, over a fake broker, a view that follows the log at its own
 * pace, and virtual time. What stands for the jobs is small: it counts late clicks, in restatements that say what was
 * before and what is after, as the real ones do. The seed decides traffic, delays, faults, and who is killed or paused.
 */
import type { JobRunnerRow } from '../../aggregator/job-records.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { pause } from '../../infra/pause.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { type Lease, openLease } from '../../query-api/jobs/runner/lease.ts';
import { beginTerm, type Term } from '../../query-api/jobs/runner/term.ts';
import { type OpenedJobLog, openJobLog } from '../../query-api/log/job-log.ts';
import { type CommittedTransaction, FakeBroker } from './fake-broker.ts';
import { fakeKafka, type Network } from './fake-kafka.ts';
import { type Open, Process } from './process.ts';
import type { SeededRandom } from './seeded-random.ts';
import { VirtualTime } from './virtual-time.ts';
import { Weather } from './weather.ts';

const names = namesOf('');
const topic = names.topic('job-results');
const second = 1_000;
const start = 1_763_800_020_000;
const sessionTimeoutMs = 6 * second;

/** Where a runner can be struck: before or after its fence, or when it has begun to write a restatement. */
export type Step = 'before its fence' | 'after its fence' | 'writing';

export interface JobsOutcome {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly hash: number;
  readonly restatements: number;
  readonly terms: number;
  readonly hits: ReadonlyMap<string, number>;
}

/** What a restatement of the model says. */
interface Restated {
  readonly job: string;
  readonly since: number;
  readonly before: number;
  readonly after: number;
  readonly clicks: readonly number[];
}

interface Line {
  readonly kind: string;
  readonly row: unknown;
}

/** What the tables show: a prefix of the log. */
class View {
  runner: JobRunnerRow | undefined;
  count = 0;
  readonly counted = new Set<number>();
  readonly jobs = new Set<string>();

  apply({ kind, row }: Line): void {
    if (kind === 'job-runner') {
      const said = row as JobRunnerRow;
      if (said.since >= (this.runner?.since ?? 0)) this.runner = said;
    } else if (kind === 'restatement') {
      const { after, clicks } = row as Restated;
      this.count = after;
      for (const click of clicks) this.counted.add(click);
    } else {
      const { id, clicks } = row as { id: string; clicks: readonly number[] };
      this.jobs.add(id);
      // Whoever looks for late clicks goes by the jobs that are done.
      for (const click of clicks) this.counted.add(click);
    }
  }
}

export class JobsWorld {
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  readonly weather: Weather;
  readonly broker: FakeBroker;
  readonly view = new View();
  readonly runners: Process[];
  /** By runner, of its latest life. */
  readonly leases = new Map<string, Lease>();
  violation: string | undefined;
  /** Called in the code of a runner that comes by; a pause then takes it right there. */
  onStep: ((runner: Process, step: Step) => void) | undefined;
  #arrived = 0;
  #position = 0;
  #sinkAwayUntil = 0;
  #jobs = 0;
  // As the log has it.
  #count = 0;
  readonly #restated = new Map<number, string>();
  readonly #done = new Set<string>();
  #since = 0;
  #termsSaid = 0;
  /** By runner, what it works in. */
  readonly #terms = new Map<string, Term>();

  readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
    this.time = new VirtualTime(seed, start);
    const { time } = this;
    this.random = time.random;
    this.weather = new Weather(time.random);
    this.broker = new FakeBroker({
      now: () => time.now,
      appendTime: () => time.now,
      later: effect => time.after(time.random.between(1, 60), undefined, 'broker completes', effect),
      random: time.random,
      onCommit: transaction => this.#committed(transaction),
    });
    for (const name of ['job-requests', 'job-results'] as const) this.broker.createTopic(names.topic(name), 1);
    const surroundings = {
      ...{ time, random: time.random, weather: this.weather },
      delay: () => this.#delay(),
      onStall: (why: string) => this.fail(why),
    };
    const count = time.random.between(2, 3);
    this.runners = Array.from({ length: count }, (_, i) => {
      const open: Open = (network, onCrash, log) => this.#openRunner(`runner-${i}`, network, onCrash, log);
      return new Process(surroundings, `runner-${i}`, open);
    });
  }

  /** Runners that nothing befalls by itself. Their broker ends sessions as soon as they are over, as a real one does. */
  beginCalm({ hasSink = true } = {}): void {
    this.weather.isCalm = true;
    for (const runner of this.runners) runner.start();
    this.#every('broker expires', 20, 50, () => this.broker.expire());
    if (hasSink) this.#every('sink', 20, 400, () => this.#follow());
  }

  /** Who works in the term of which the log has heard last; nobody is it who is dead, paused, or in a term of before. */
  atWork(): Process | undefined {
    return this.runners.find(runner => {
      const term = this.#terms.get(runner.name);
      return runner.isRunning && term?.ended.aborted === false && term.since === this.#since;
    });
  }

  fail(what: string): void {
    this.violation ??= what;
  }

  async run(): Promise<JobsOutcome> {
    using _ = this.time.install();
    const { time, weather, random } = this;
    for (const runner of this.runners) runner.start();
    this.#every('broker expires', second, second, () => this.broker.expire());
    this.#every('sink', 20, 400, () => this.#follow());
    this.#every('late clicks', 300, 4 * second, () => weather.isCalm || this.clicksCome(random.between(1, 3)));
    this.#every('disturbance', second, 12 * second, () => weather.isCalm || this.#disturb());
    await time.run(start + random.between(60, 240) * second, () => this.violation !== undefined);
    weather.isCalm = true;
    for (const runner of this.runners) runner.heal();
    const isDone = () => this.violation !== undefined || this.view.counted.size === this.#arrived;
    await time.run(time.now + 120 * second, isDone);
    if (this.violation === undefined && this.#restated.size !== this.#arrived)
      this.fail(`${this.#arrived} late clicks came, ${this.#restated.size} were restated in the end`);
    return {
      seed: this.seed,
      violation: this.violation,
      hash: time.hash,
      restatements: this.#done.size,
      terms: this.#termsSaid,
      hits: weather.hits,
    };
  }

  /** Late ones. */
  clicksCome(clicks: number): void {
    this.#arrived += clicks;
  }

  #disturb(): void {
    const { random, weather } = this;
    const which = random.pick(['crash', 'crash', 'pause', 'pause', 'stop', 'rebalance', 'sink away'] as const);
    weather.hit(`disturbance: ${which}`);
    const runner = random.pick(this.runners);
    if (which === 'rebalance') this.broker.rebalance(names.jobRunner);
    else if (which === 'sink away') this.#sinkAwayUntil = this.time.now + random.between(1, 30) * second;
    else runner[which]();
  }

  /** What is committed goes into the tables in its order, some of it at a time. */
  #follow(): void {
    if (this.time.now < this.#sinkAwayUntil && !this.weather.isCalm) return;
    const most = this.random.pick([1, 3, 50]);
    const { entries, nextOffset } = this.broker.fetch(topic, 0, this.#position, 'read_committed', most);
    this.#position = nextOffset;
    for (const entry of entries) for (const line of linesOf(entry)) this.view.apply(line);
  }

  /** Of a transaction that is decided: the laws of restatements. */
  #committed({ entries }: CommittedTransaction): void {
    for (const { entry } of entries.filter(of => of.topic === topic)) {
      for (const { kind, row } of linesOf(entry)) {
        if (kind === 'restatement') this.#restatement(row as Restated);
        else if (kind === 'job') this.#jobDone(row as { id: string });
        else this.#announced(row as { since: number });
      }
    }
  }

  #announced({ since }: { since: number }): void {
    if (since < this.#since) this.fail(`the term of ${since} says that it lasts after that of ${this.#since} began`);
    if (since > this.#since) this.#termsSaid++;
    this.#since = since;
  }

  #restatement({ job, since, before, after, clicks }: Restated): void {
    if (since !== this.#since) this.fail(`${job} of the term ${since} restates in that of ${this.#since}`);
    if (before !== this.#count) this.fail(`${job} restates from ${before}, where ${this.#count} was stated`);
    for (const click of clicks) {
      const other = this.#restated.get(click);
      if (other !== undefined) this.fail(`late click ${click} is restated by ${other} and by ${job}`);
      this.#restated.set(click, job);
    }
    this.#count = after;
    this.#done.add(job);
  }

  #jobDone({ id }: { id: string }): void {
    if (!this.#done.has(id)) this.fail(`${id} says that it is done before its restatement is there`);
  }

  async #openRunner(name: string, network: Network, onCrash: (error: Error) => void, log: Parameters<Open>[2]) {
    const kafka = fakeKafka(this.broker, network);
    const { view } = this;
    this.#terms.delete(name);
    const runners = { latest: () => network.call('query', () => view.runner) };
    const lease = await openLease({
      ...{ kafka, names, sessionTimeoutMs, log, onCrash },
      beginTerm: over =>
        beginTerm({ openLog: () => this.#openLog(name, kafka), runners, host: name, now: () => this.time.now }, over),
      work: term => this.#work(name, network, term),
    });
    this.leases.set(name, lease);
    return lease;
  }

  async #openLog(name: string, kafka: KafkaClient): Promise<OpenedJobLog> {
    await this.#step(name, 'before its fence');
    const log = await openJobLog(kafka, names);
    await this.#step(name, 'after its fence');
    return log;
  }

  /** Who is paused here goes on from here, and has asked nobody for anything meanwhile. */
  async #step(name: string, step: Step): Promise<void> {
    const runner = this.runners.find(one => one.name === name);
    if (runner === undefined || this.onStep === undefined) return;
    this.onStep(runner, step);
    await pause(0);
  }

  /** As the job loop does: looks for work, does it, says what came of it, and waits until that can be read. */
  #work(name: string, network: Network, term: Term): AsyncDisposable {
    const { view, random } = this;
    const { ended } = term;
    const terms = this.#terms;
    terms.set(name, term);
    const closing = new AbortController();
    const signal = AbortSignal.any([ended, closing.signal]);
    let written: string | undefined;
    const turn = async () => {
      // Nothing is read that what was written before may be missing from.
      while (written !== undefined) {
        const job = written;
        if (await network.call('query', () => view.jobs.has(job))) written = undefined;
        else await pause(50, signal);
        if (signal.aborted) return;
      }
      const { count, waiting } = await network.call('query', () => ({
        count: view.count,
        waiting: Array.from({ length: this.#arrived }, (_, click) => click).filter(click => !view.counted.has(click)),
      }));
      if (waiting.length === 0) return;
      const clicks = waiting.slice(0, random.between(1, 4));
      const job = `job-${++this.#jobs} of ${name}`;
      await pause(this.weather.isCalm ? 10 : random.pick([10, 300, 3_000]), signal);
      const restated: Restated = { job, since: term.since, before: count, after: count + clicks.length, clicks };
      await this.#step(name, 'writing');
      await term.log.write([
        { kind: 'restatement', rows: [restated] },
        { kind: 'job', rows: [{ id: job, clicks }] },
      ]);
      written = job;
    };
    const loop = async () => {
      while (!signal.aborted) {
        await turn().catch(() => undefined);
        await pause(500, signal);
      }
    };
    const running = loop();
    return {
      async [Symbol.asyncDispose]() {
        closing.abort();
        if (terms.get(name) === term) terms.delete(name);
        await running;
      },
    };
  }

  #delay(): number {
    const { random, weather } = this;
    return !weather.isCalm && random.chance(0.02) ? random.between(50, 1_500) : random.between(1, 8);
  }

  #every(label: string, from: number, to: number, work: () => void): void {
    const turn = () => {
      work();
      this.time.after(this.random.between(from, to), undefined, label, turn);
    };
    this.time.after(this.random.between(from, to), undefined, label, turn);
  }
}

function linesOf({ value, headers }: { value: Buffer | null; headers?: Readonly<Record<string, string>> }): Line[] {
  const text = value?.toString().trim() ?? '';
  return text === '' ? [] : text.split('\n').map(line => ({ kind: headers?.['kind'] ?? '', row: JSON.parse(line) }));
}

export async function simulateJobs(seed: number, trace?: (line: string) => void): Promise<JobsOutcome> {
  const world = new JobsWorld(seed);
  world.time.trace = trace;
  return await world.run();
}
