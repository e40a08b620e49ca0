/** A process of a simulation: its calls pass through the weather, and its supervisor starts it again. */
import type { Logger } from '../../infra/log.ts';
import { BrokerError } from './fake-broker.ts';
import type { Network, Operation } from './fake-kafka.ts';
import type { SeededRandom } from './seeded-random.ts';
import { Life, type VirtualTime } from './virtual-time.ts';
import type { Weather } from './weather.ts';

export interface Surroundings {
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  readonly weather: Weather;
  /** One-way delay between two machines, ms. */
  delay(): number;
  /** Its watchdog has ended it, without a reason that is known. */
  onStall(why: string): void;
}

/** `signal`: it is to end while it is still being opened. Who does not look at it goes on. */
export type Open = (
  network: Network,
  onCrash: (error: Error) => void,
  log: Logger,
  signal: AbortSignal,
) => Promise<AsyncDisposable>;

const second = 1_000;

/** A process and its supervisor, which starts it again whenever it ends. */
export class Process {
  readonly name: string;
  state: 'up' | 'down' | 'stopping' = 'down';
  readonly #world: Surroundings;
  readonly #open: Open;
  #life: Life | undefined;
  #opened: AsyncDisposable | undefined;
  #opening = new AbortController();
  #starts = 0;
  /** Until then standing still has a known reason. */
  #excusedUntil = 0;
  /** Some machines are slow. */
  #slowness = 1;

  constructor(world: Surroundings, name: string, open: Open) {
    this.#world = world;
    this.name = name;
    this.#open = open;
  }

  /** Neither dead nor paused. */
  get isRunning(): boolean {
    return this.state !== 'down' && this.#life?.alive === true && !this.#life.paused;
  }

  start(): void {
    const life = new Life(`${this.name}.${++this.#starts}`);
    this.#life = life;
    this.#opened = undefined;
    this.#opening = new AbortController();
    const { signal } = this.#opening;
    this.#slowness = !this.#world.weather.isCalm && this.#world.random.chance(0.1) ? 20 : 1;
    this.#excusedUntil = this.#slowness === 1 ? 0 : Number.POSITIVE_INFINITY;
    this.state = 'up';
    const { time } = this.#world;
    const end = (error: unknown) => {
      if (life !== this.#life || !life.alive) return;
      time.note(`${life.name} ends: ${error}`);
      if (String(error).includes('stalled') && time.now > this.#excusedUntil) this.#world.onStall(`${error}`);
      this.crash();
    };
    time.after(0, life, 'starts', () => {
      this.#open(this.#networkOf(life), end, logOf(time, life), signal).then(opened => {
        this.#opened = opened;
      }, end);
    });
  }

  /** kill -9 */
  crash(): void {
    if (this.#life) this.#world.time.kill(this.#life);
    this.#restartLater();
  }

  /** SIGSTOP, and SIGCONT some time later: perhaps after its session has ended. */
  pause(ms?: number): void {
    const life = this.#life;
    const { time, random } = this.#world;
    if (life === undefined || life.paused || !life.alive) return;
    time.pause(life);
    const pausedMs = ms ?? random.between(200, random.pick([2_000, 15_000, 28_000, 45_000]));
    time.after(pausedMs, undefined, 'resume', () => time.resume(life));
  }

  /** SIGTERM */
  stop(): void {
    const { time } = this.#world;
    const [life, opened] = [this.#life, this.#opened];
    if (life === undefined || this.state !== 'up') return;
    if (opened === undefined) return void time.after(0, life, 'SIGTERM', () => this.#opening.abort());
    this.state = 'stopping';
    const ended = () => {
      if (life !== this.#life || !life.alive) return;
      time.kill(life);
      this.#restartLater();
    };
    time.after(0, life, 'SIGTERM', () => void opened[Symbol.asyncDispose]().then(ended, ended));
    time.after(10 * second, undefined, 'SIGKILL', ended);
  }

  heal(): void {
    this.#slowness = 1;
    if (this.#life?.paused) this.#world.time.resume(this.#life);
  }

  #restartLater(): void {
    if (this.state === 'down') return;
    this.state = 'down';
    const { time, random } = this.#world;
    time.after(random.between(100, 8 * second), undefined, `${this.name} is started again`, () => this.start());
  }

  #networkOf(life: Life): Network {
    const world = this.#world;
    const { time, random } = world;
    return {
      call: (operation, effect) => this.#call(life, operation, effect),
      bind: callback => () => void time.after(0, life, 'woken', callback),
      chance: probability => random.chance(probability),
      fetchSize: () => random.pick([1, 5, 50, 500]),
      longPollMs: 4 * second,
    };
  }

  #call<T>(life: Life, operation: Operation, effect: () => T): Promise<T> {
    const { time, random, weather } = this.#world;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const delay = () => this.#slowness * this.#world.delay();
    const fate = life.alive ? weather.fateOf(operation) : undefined;
    const giveUp = random.between(second, 4 * second);
    const arrive = (after: number, answer: (work: () => void) => void) => {
      time.after(after, undefined, `${operation} of ${life.name}`, () => {
        const done = attempt(effect);
        if ('error' in done && done.error instanceof BrokerError) weather.hit(`broker says ${done.error.type}`);
        answer(() => ('error' in done ? reject(done.error) : resolve(done.value)));
      });
    };
    const answered = (work: () => void) => void time.after(delay(), life, `${operation} answered`, work);
    const timeOut = () =>
      time.after(giveUp, life, `${operation} timed out`, () => reject(new BrokerError('REQUEST_TIMED_OUT')));
    if (fate === 'lost' || fate === 'unanswered' || fate === 'late') this.#excusedUntil = time.now + 2 * 60 * second;
    switch (fate) {
      case undefined:
        arrive(delay(), answered);
        break;
      case 'refused':
        time.after(delay(), life, `${operation} refused`, () => reject(new Error('connect ECONNREFUSED')));
        break;
      case 'lost':
        timeOut();
        break;
      case 'unanswered':
        arrive(delay(), () => {});
        timeOut();
        break;
      case 'late':
        arrive(giveUp + random.between(0, random.pick([500, 5_000, 40_000])), () => {});
        timeOut();
        break;
      case 'crash before':
        this.crash();
        break;
      case 'crash after':
        arrive(delay(), () => this.#life === life && life.alive && this.crash());
        break;
      case 'pause before':
        this.pause();
        time.after(0, life, 'sends', () => arrive(delay(), answered));
        break;
      case 'pause after':
        arrive(delay(), work => {
          if (this.#life === life) this.pause();
          answered(work);
        });
        break;
    }
    return promise;
  }
}

function attempt<T>(effect: () => T): { readonly value: T } | { readonly error: unknown } {
  try {
    return { value: effect() };
  } catch (error) {
    return { error };
  }
}

/** Into the trace, where there is one. */
function logOf(time: VirtualTime, life: Life): Logger {
  const line = (fields: object, message: string) => {
    if (time.trace) time.trace(`${' '.repeat(9)} ${life.name} says ${message} ${JSON.stringify(fields)}`);
  };
  // At level debug records pass through more hands (aggregator/record-traces.ts), which must let each of them through.
  const isLevelEnabled = () => true;
  const log = { debug: line, info: line, warn: line, error: line, isLevelEnabled, child: () => log };
  return log as unknown as Logger;
}
