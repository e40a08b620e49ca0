/**
 * The whole pipeline behind ingest in one thread: real aggregator processes (task group, tasks, core, Kafka adapters) and
 * real sinks, over a fake broker, a fake store and virtual time. The seed decides everything: settings, traffic, delays,
 * faults. First comes the storm, then calm, in which all must come right without anybody's help.
 */

import { Counter, Gauge, Histogram } from 'prom-client';
import type { Progress } from '../../aggregator/ad-minute.ts';
import { AggregatorConfig, SinkConfig } from '../../aggregator/config.ts';
import { onlyNode } from '../../aggregator/sink/node.ts';
import { openSink } from '../../aggregator/sink/sink.ts';
import { openTaskGroup } from '../../aggregator/task-group.ts';
import { loadConfig } from '../../infra/config.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { ackHeader } from '../../ingest/ack-chain.ts';
import { noRules, type RuleSet, type RulesAt, recommendedRules } from '../../ingest/validity/rules.ts';
import { noErasures } from '../support/no-erasures.ts';
import { Checkers, type Violation } from './checkers.ts';
import { FakeBroker } from './fake-broker.ts';
import { fakeKafka } from './fake-kafka.ts';
import { FakeStore, fakeClickHouse } from './fake-store.ts';
import { type Open as OpenProcess, Process } from './process.ts';
import { replayProblem } from './replay-check.ts';
import { Routing } from './routing.ts';
import type { SeededRandom } from './seeded-random.ts';
import { Traffic } from './traffic.ts';
import { VirtualTime } from './virtual-time.ts';
import { Weather } from './weather.ts';
import { Writers } from './writers.ts';

export interface Outcome {
  readonly seed: number;
  readonly violation: Violation | undefined;
  /** Equal for equal courses. */
  readonly hash: number;
  readonly events: number;
  readonly records: number;
  /** Virtual ms. */
  readonly duration: number;
  /** What went wrong in it, and how often. */
  readonly hits: ReadonlyMap<string, number>;
}

const names = namesOf('');
const second = 1_000;
const start = 1_763_800_020_000;
/** Of calm, after which all must be right, besides the time the watermark needs. */
const healMs = 120 * second;

/** Above the longest pause of a process together with the latest arrival of a late call. */
const retentionLagMs = 60 * second;

// Simulated processes share the metrics of this one, where a counter would meet another process's totals.
Counter.prototype.inc = () => {};
Gauge.prototype.set = () => {};
Histogram.prototype.observe = () => {};

export class World {
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  readonly weather: Weather;
  readonly broker: FakeBroker;
  readonly store = new FakeStore();
  /** Of the store's tables. */
  incarnation = '';
  readonly checkers: Checkers;
  readonly traffic: Traffic;
  readonly writers: Writers;
  readonly routing: Routing;
  readonly settings: ReturnType<typeof settingsOf>;
  /** In every second life, rules of invalid clicks are in force in most minutes. */
  readonly rulesAt: RulesAt;
  readonly processes: Process[];
  readonly #needed: { readonly at: number; readonly partition: number; readonly needed: number }[] = [];
  #records = 0;

  constructor(seed: number, given: Partial<ReturnType<typeof settingsOf>> = {}) {
    this.time = new VirtualTime(seed, start);
    const { random } = this.time;
    this.random = random;
    this.settings = { ...settingsOf(random), ...given };
    this.rulesAt = seed % 2 === 0 ? () => noRules : rulesOfMinute;
    const { partitions, aggregators, sinks, isExactlyOnce, outOfOrdernessMs, allowedLatenessMs } = this.settings;
    this.weather = new Weather(random);
    const appendTime = () => this.time.now - (random.chance(0.1) ? random.between(0, this.settings.clockSkewMs) : 0);
    this.routing = new Routing(
      { ...this.settings, firstMinute: Math.floor(start / 60_000) * 60_000 },
      { now: () => this.time.now, appendTime, isCalm: () => this.weather.isCalm, random },
    );
    const partitionsAt = (eventTime: number) => this.routing.partitionsAt(eventTime);
    this.checkers = new Checkers(
      { mostPartitions, partitionsAt, isExactlyOnce, outOfOrdernessMs, allowedLatenessMs, rulesAt: this.rulesAt },
      this.store,
    );
    this.checkers.onChecked = what => this.weather.hit(`checked: ${what}`);
    this.checkers.toldBy = (partition, header) => this.writers.told(partition, header);
    this.broker = new FakeBroker({
      now: () => this.time.now,
      appendTime,
      later: effect => this.time.after(this.#slowly(1, 60), undefined, 'broker completes', effect),
      random,
      onAppend: (topic, partition, entry) => this.checkers.appended(topic, partition, entry),
      onCommit: transaction => this.checkers.committed(transaction),
    });
    for (const topic of ['clicks', 'aggregates', 'quarantine']) this.broker.createTopic(topic, partitions);
    this.writers = new Writers(random, start);
    this.traffic = new Traffic({ ...this.settings, ads: random.between(1, 12), hasPersons: seed % 2 !== 0 }, random);
    this.processes = [
      ...Array.from({ length: aggregators }, (_, i) => this.#process(`aggregator-${i}`, openAggregator)),
      ...Array.from({ length: sinks }, (_, i) => this.#process(`sink-${i}`, openSinks)),
    ];
  }

  #process(name: string, open: Open): Process {
    const surroundings = {
      ...{ time: this.time, random: this.random, weather: this.weather },
      delay: () => this.delay(),
      // The watchdog is for what nobody has thought of: known are a call without an answer, a slow machine.
      onStall: (why: string) => this.checkers.fail('nothing stalls', why),
    };
    return new Process(surroundings, name, (...given) => open(this, ...given));
  }

  /** Storm, then calm. */
  async run(): Promise<Outcome> {
    using _ = this.time.install();
    this.begin();
    this.#stir();
    await this.time.run(start + this.settings.stormMs, () => this.checkers.violation !== undefined);
    await this.calm();
    return this.outcome();
  }

  begin(): void {
    for (const process of this.processes) process.start();
    this.#every('broker expires', second, second, () => this.broker.expire());
    this.#every('needed offsets noted', 5 * second, 5 * second, () => this.#noteNeeded());
    this.#every('reader', second, 8 * second, () => this.#read());
    this.#every('statements', 2 * second, 10 * second, () => this.#state());
    this.#every('hot ads tick', 500, 1_500, () => this.weather.isOut || this.routing.tick());
    const { growTo, growAtMs } = this.settings;
    if (growTo > 0) this.time.after(growAtMs, undefined, 'partitions grow', () => this.grow(growTo));
  }

  /** Ends all faults and waits until everything is final, which it must be in good time. */
  async calm(): Promise<void> {
    const { time, checkers } = this;
    if (checkers.violation !== undefined) return;
    time.note('calm');
    this.weather.isCalm = true;
    for (const process of this.processes) process.heal();
    const { outOfOrdernessMs, allowedLatenessMs } = this.settings;
    const lastEnd = Math.floor(Math.max(this.traffic.lastClickedAt, time.now) / 60_000) * 60_000 + 60_000;
    const deadline = lastEnd + outOfOrdernessMs + allowedLatenessMs + this.settings.clockSkewMs + healMs;
    let isDone = false;
    this.#every('are we there', second, second, () => {
      isDone = this.#isFinal(lastEnd);
    });
    await time.run(deadline, () => isDone || checkers.violation !== undefined);
    if (checkers.violation !== undefined) return;
    checkers.atRest();
    this.#replay();
    if (!isDone) checkers.fail('all comes to rest', this.#whatIsLeft(lastEnd));
  }

  #replay(): void {
    this.weather.hit('checked: replay');
    const problem = replayProblem(this.store, this.broker.partitionsOf('clicks'), this.time.now, this.rulesAt);
    if (problem !== undefined) this.checkers.fail('a replay replaces', problem);
  }

  outcome(): Outcome {
    const { time, weather, checkers, settings } = this;
    const duration = time.now - start;
    return {
      seed: settings.seed,
      violation: checkers.violation,
      hash: time.hash,
      events: time.events,
      records: this.#records,
      duration,
      hits: weather.hits,
    };
  }

  /** Clients post a record; what becomes of it, they may never learn. */
  post(): void {
    const ingest = this.random.between(0, 1);
    const record = this.traffic.next(this.time.now, click => this.routing.partitionFor(ingest, click));
    if (record === undefined) return void this.weather.hit('post: refused');
    const { partition, value, clickIds } = record;
    this.#noteGrowth(partition);
    const fate = this.weather.isCalm ? 1 : this.random.next();
    const sending = this.writers.begin(partition, value.split('\n').filter(line => line.trim() !== '').length);
    const message = { value: Buffer.from(value), ...(sending ? { headers: { [ackHeader]: sending.header } } : {}) };
    const giveUp = () => void this.time.after(second, undefined, 'ingest gives up', () => sending?.failed());
    if (fate < 0.01) {
      this.weather.hit('post: lost');
      giveUp();
      return;
    }
    if (sending && this.settings.isSwallowing && fate < 0.06) {
      this.weather.hit('post: swallowed');
      return void this.time.after(this.#slowly(1, 30), undefined, 'clicks are swallowed', () => sending.swallowed());
    }
    const isLate = fate > 0.99 && fate < 1;
    this.time.after(this.#slowly(1, isLate ? 5 * second : 30), undefined, 'clicks arrive', () => {
      this.#records++;
      this.broker.append('clicks', partition, [message]);
      if (isLate) this.weather.hit('post: late');
      else if (fate > 0.97 && fate < 1) this.weather.hit('post: unanswered');
      else {
        this.checkers.accepted(clickIds);
        sending?.kept();
      }
    });
    if (isLate || (fate > 0.97 && fate < 1)) giveUp();
  }

  /** As ingest does it where no clicks come: what was acknowledged is told all the same. */
  #state(): void {
    for (const { partition, sending } of this.writers.statements()) {
      if (!this.weather.isCalm && this.random.chance(0.05)) sending.failed();
      else {
        const record = { value: Buffer.alloc(0), headers: { [ackHeader]: sending.header } };
        this.time.after(this.#slowly(1, 30), undefined, 'statement arrives', () => {
          this.broker.append('clicks', partition, [record]);
          sending.kept();
        });
      }
    }
  }

  /**
   * As `adclicks partitions --to`: outputs before inputs, then the announcement. The command may end between any two
   * steps, or be stopped before its announcement is sent; whoever asked for it repeats it until it is through.
   */
  grow(to: number): void {
    const { random, weather } = this;
    const stops = () => !weather.isCalm && random.chance(0.1);
    const again = () =>
      this.time.after(random.between(second, 10 * second), undefined, 'grow again', () => this.grow(to));
    const [topic] = (['quarantine', 'aggregates', 'clicks'] as const).filter(
      name => this.broker.partitionsOf(name) < to,
    );
    if (stops()) {
      weather.hit('growth: command stopped');
      return void again();
    }
    if (topic !== undefined) {
      this.broker.growTopic(topic, to);
      // The group's leader asks for the topics now and then.
      for (const group of [names.aggregatorGroup, names.rawSinkGroup, names.aggregateSinkGroup])
        this.time.after(random.between(0, 10 * second), undefined, 'metadata is refreshed', () =>
          this.broker.rebalance(group),
        );
      return void this.time.after(random.between(10, 2 * second), undefined, 'grow on', () => this.grow(to));
    }
    const from = this.routing.soonest();
    const sentAfterMs = !weather.isCalm && random.chance(0.3) ? random.between(0, 80 * second) : random.between(1, 500);
    this.time.after(sentAfterMs, undefined, 'growth announced', () => {
      const holds = this.routing.announce(to, from);
      weather.hit(holds ? 'growth: announced' : 'growth: announced too late');
      if (!holds) again();
    });
  }

  #noteGrowth(partition: number): void {
    if (partition >= this.settings.partitions) this.weather.hit('post: to a new partition');
    else if (this.broker.partitionsOf('clicks') > this.settings.partitions)
      this.weather.hit('post: to an old one, grown');
  }

  /** The store loses all it has. Each sink learns of it, and stops, before it has tables again (aggregator/sink/node-sink.ts). */
  emptyStore(): void {
    this.store.empty();
    this.checkers.emptied();
    for (const process of this.processes.filter(({ name }) => name.startsWith('sink-')))
      this.time.after(this.random.between(0, 5 * second), undefined, `${process.name} learns of it`, () =>
        this.random.chance(0.5) ? process.stop() : process.crash(),
      );
    this.time.after(15 * second, undefined, 'the store has tables', () => {
      this.incarnation += 'x';
      this.store.makeTables();
    });
  }

  /** Removes what nobody has needed for a while: retention of days lags far behind, also for whoever was paused. */
  retain(): void {
    for (const { at, partition, needed } of this.#needed) {
      if (at > this.time.now - retentionLagMs || needed <= this.broker.range('clicks', partition).start) continue;
      this.weather.hit('retention');
      this.broker.deleteBefore('clicks', partition, needed);
    }
  }

  /** Of `clicks`, the first offset that somebody may still have to read. */
  #noteNeeded(): void {
    for (let partition = 0; partition < this.broker.partitionsOf('clicks'); partition++) {
      const { metadata } = this.broker.committedOffset(names.aggregatorGroup, 'clicks', partition) ?? {};
      const inserted = this.broker.committedOffset(names.rawSinkGroup, 'clicks', partition)?.offset ?? 0;
      const needed = metadata ? Math.min(JSON.parse(metadata).restoreFrom, inserted) : 0;
      this.#needed.push({ at: this.time.now, partition, needed });
    }
  }

  /** One-way delay between two machines, ms. Now and then much longer. */
  delay(): number {
    return !this.weather.isCalm && this.random.chance(0.02) ? this.#slowly(50, 1_500) : this.#slowly(1, 8);
  }

  #slowly(from: number, to: number): number {
    return this.random.between(from, to);
  }

  #every(label: string, from: number, to: number, work: () => void): void {
    const turn = () => {
      work();
      this.time.after(this.random.between(from, to), undefined, label, turn);
    };
    this.time.after(this.random.between(from, to), undefined, label, turn);
  }

  /** The storm: traffic, and what happens to processes besides the fate of their calls. */
  #stir(): void {
    const { random, weather, settings } = this;
    const until = (work: () => void) => () => {
      if (!weather.isCalm) work();
    };
    this.#every(
      'post',
      10,
      2 * settings.pauseBetweenPostsMs,
      until(() => this.#postUnlessQuiet()),
    );
    this.#every(
      'ingest starts anew',
      5 * second,
      60 * second,
      until(() => this.writers.restart(this.time.now)),
    );
    const { disturbances } = settings;
    const processes = this.processes;
    const disturb: Record<Disturbance, () => void> = {
      rebalance: () =>
        this.broker.rebalance(random.pick([names.aggregatorGroup, names.rawSinkGroup, names.aggregateSinkGroup])),
      crash: () => random.pick(processes).crash(),
      pause: () => random.pick(processes).pause(),
      stop: () => random.pick(processes).stop(),
      retention: () => this.retain(),
      outage: () => {
        weather.isOut = true;
        this.time.after(random.between(second, 30 * second), undefined, 'brokers are back', () => {
          weather.isOut = false;
        });
      },
      marker: () => this.broker.appendMarker('clicks', random.between(0, this.broker.partitionsOf('clicks') - 1)),
    };
    if (disturbances.length === 0) return;
    this.#every(
      'disturbance',
      second,
      20 * second,
      until(() => {
        const which = random.pick(disturbances);
        weather.hit(`disturbance: ${which}`);
        disturb[which]();
      }),
    );
  }

  #postUnlessQuiet(): void {
    const sinceStart = this.time.now - start;
    if (this.settings.isQuietAt(sinceStart)) return;
    this.post();
  }

  /** As the query API does it: progress first, rows after. */
  #read(): void {
    const progress = [...this.store.progress()];
    const { lives } = this.store;
    this.time.after(this.random.between(0, 500), undefined, 'reader reads rows', () => {
      // Without tables there is no answer.
      if (this.store.hasTables && this.store.lives === lives) this.checkers.read(progress);
    });
  }

  #isFinal(lastEnd: number): boolean {
    const progress = this.store.progress();
    // Ticks go on and on: what came before the last one counts.
    const isFar = (row: Progress) =>
      row.final_until >= lastEnd && row.position >= this.broker.range('clicks', row.partition).end - 3;
    return progress.length === this.broker.partitionsOf('clicks') && progress.every(isFar) && this.checkers.isWhole();
  }

  #whatIsLeft(lastEnd: number): string {
    const ends = Array.from(
      { length: this.broker.partitionsOf('clicks') },
      (_, p) => this.broker.range('clicks', p).end,
    );
    const processes = this.processes.map(process => `${process.name} ${process.state}`);
    return JSON.stringify({ lastEnd, ends, progress: this.store.progress(), processes });
  }
}

type Disturbance = 'rebalance' | 'crash' | 'pause' | 'stop' | 'retention' | 'marker' | 'outage';
const allDisturbances: readonly Disturbance[] = [
  'rebalance',
  'crash',
  'pause',
  'stop',
  'retention',
  'marker',
  'outage',
];

/** Of a topic, in the end. */
const mostPartitions = 6;

/** Of three minutes one has no rules, and the others have different ones. */
function rulesOfMinute(minute: number): RuleSet {
  const version = (minute / 60_000) % 3;
  if (version === 0) return noRules;
  const caps = { user_clicks_per_minute: 2, address_clicks_per_minute: 5, ad_clicks_per_minute: 12 };
  return { version, rules: version === 1 ? { ...recommendedRules, ...caps } : recommendedRules };
}

function settingsOf(random: SeededRandom) {
  const partitions = random.between(1, 3);
  const isFarAhead = random.chance(0.03);
  // Clicks of minutes far ahead are refused where announcements are made shortly before they hold.
  const grows = !isFarAhead && random.chance(0.4);
  const quietFrom = random.between(0, 100) * second;
  const quietFor = random.pick([0, 0, 20, 60]) * second;
  return {
    seed: 0,
    partitions,
    growTo: grows ? random.between(partitions + 1, mostPartitions) : 0,
    growAtMs: random.between(0, 30) * second,
    noticeMs: grows ? 10_000 : 370_000,
    aggregators: random.between(1, 3),
    sinks: random.between(1, 2),
    isExactlyOnce: random.chance(0.85),
    outOfOrdernessMs: random.pick([500, 5_000, 15_000]),
    allowedLatenessMs: random.pick([0, 10_000, 60_000]),
    tickIntervalMs: random.pick([2_000, 5_000]),
    commitIntervalMs: random.pick([200, 1_000, 3_000]),
    commitMaxLines: random.pick([10, 60, 100_000]),
    stormMs: random.between(20, 100) * second,
    pauseBetweenPostsMs: random.pick([150, 400, 1_500]),
    clockSkewMs: random.pick([0, 0, 3_000]),
    wildness: random.pick([0, 0.5, 1, 2]),
    isFarAhead,
    isSwallowing: random.chance(0.1),
    // Most of them begin or end while there are clicks.
    splitFrom: random.pick([-5, -5, 1, 1, 2]),
    splitUntil: random.pick([1, 2, 9]),
    disturbances: allDisturbances.filter(() => random.chance(0.6)),
    isQuietAt: (sinceStart: number) => sinceStart >= quietFrom && sinceStart < quietFrom + quietFor,
  };
}

type Open = (world: World, ...given: Parameters<OpenProcess>) => Promise<AsyncDisposable>;

const openAggregator: Open = (world, network, onCrash, log) => {
  const { settings, broker, random } = world;
  const follower = world.routing.follower();
  return openTaskGroup({
    kafka: fakeKafka(broker, network),
    names,
    config: loadConfig(AggregatorConfig, {
      AGGREGATOR_GUARANTEE: settings.isExactlyOnce ? 'exactly_once' : 'at_least_once',
      OUT_OF_ORDERNESS_MS: String(settings.outOfOrdernessMs),
      ALLOWED_LATENESS_MS: String(settings.allowedLatenessMs),
      TICK_INTERVAL_MS: String(settings.tickIntervalMs),
      COMMIT_INTERVAL_MS: String(settings.commitIntervalMs),
      COMMIT_MAX_INTERVAL_MS: String(Math.min(5_000, 2 * settings.commitIntervalMs)),
      COMMIT_MAX_LINES: String(settings.commitMaxLines),
    }),
    partitionsAt: eventTime => follower.partitionsAt(eventTime),
    rules: {
      rulesAt: world.rulesAt,
      get rulesKnownUntil() {
        return follower.caughtUp().book.rulesKnownUntil;
      },
    },
    hashSeed: random.between(0, 2 ** 32 - 1),
    log,
    onCrash,
  });
};

const openSinks: Open = async (world, network, onCrash, log, signal) => {
  while (!world.store.hasTables) await new Promise(resolve => setTimeout(resolve, second));
  const { broker, random, weather, store } = world;
  const tear = (rows: number) => {
    if (weather.isCalm || !random.chance(0.01)) return undefined;
    weather.hit('insert: torn');
    return random.between(0, rows);
  };
  return await openSink({
    erasures: noErasures,
    kafka: fakeKafka(broker, network),
    clickhouse: fakeClickHouse(store, network, tear),
    node: { ...onlyNode, incarnation: world.incarnation },
    names,
    config: loadConfig(SinkConfig, { SINK_LINGER_MS: String(random.pick([0, 50, 500])) }),
    log,
    onCrash,
    signal,
  });
};

export async function simulate(seed: number, trace?: (line: string) => void): Promise<Outcome> {
  const world = new World(seed, { seed });
  world.time.trace = trace;
  return await world.run();
}
