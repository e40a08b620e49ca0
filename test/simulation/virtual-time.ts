/**
 * Time, and the order of everything, in a simulation. One queue holds all that is going to happen; nothing else wakes an
 * `await`. Events run one after another, each until no promise is left to settle, so a seed fixes the whole course.
 *
 * Every event belongs to the life of one process, or to none (the broker, the store, the weather). What a life starts
 * (timers, calls) belongs to it too: when it is killed its events never happen, and while it is paused they wait.
 */
import { SeededRandom } from './seeded-random.ts';

/** One run of a process, from its start to its end. */
export class Life {
  readonly name: string;
  alive = true;
  paused = false;
  readonly held: Event[] = [];

  constructor(name: string) {
    this.name = name;
  }
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly life: Life | undefined;
  readonly label: string;
  readonly run: () => void;
  cancelled: boolean;
}

interface Timer {
  event: Event;
  unref(): Timer;
  ref(): Timer;
}

/** Timers of the code under test turn at least this slowly: a timer may always be late, and few turns make quick runs. */
const shortestIntervalMs = 250;

export class VirtualTime {
  readonly random: SeededRandom;
  /** Epoch ms. */
  now: number;
  /** Whose code is running. */
  life: Life | undefined;
  /** Events so far, and a hash of their course. */
  events = 0;
  hash = 0x811c9dc5;
  trace: ((line: string) => void) | undefined;
  readonly #startedAt: number;
  readonly #queue: Event[] = [];
  #order = 0;

  constructor(seed: number, now: number) {
    this.random = new SeededRandom(seed);
    this.now = now;
    this.#startedAt = now;
  }

  after(ms: number, life: Life | undefined, label: string, run: () => void): Event {
    const event = { at: this.now + Math.max(0, ms), order: this.#order++, life, label, run, cancelled: false };
    this.#push(event);
    return event;
  }

  kill(life: Life): void {
    this.note(`killed ${life.name}`);
    life.alive = false;
    life.held.length = 0;
  }

  pause(life: Life): void {
    this.note(`paused ${life.name}`);
    life.paused = true;
  }

  /** What fell due meanwhile happens now, in its order. */
  resume(life: Life): void {
    this.note(`resumed ${life.name}`);
    life.paused = false;
    for (const event of life.held.splice(0)) this.#push({ ...event, at: this.now, order: this.#order++ });
  }

  /** Enters something into the trace and its hash. */
  note(text: string): void {
    let hash = this.hash;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    this.hash = Math.imul(hash ^ this.now, 0x01000193) >>> 0;
    this.trace?.(`${((this.now - this.#startedAt) / 1_000).toFixed(3).padStart(9)} ${text}`);
  }

  /** Runs until `done` says so (asked after every event) or nothing is left to happen before `end`. */
  async run(end: number, done: () => boolean = () => false): Promise<void> {
    for (;;) {
      const event = this.#queue[0];
      if (event === undefined || event.at > end) {
        this.now = end;
        return;
      }
      this.#pop();
      this.now = Math.max(this.now, event.at);
      if (event.cancelled || event.life?.alive === false) continue;
      if (event.life?.paused) {
        event.life.held.push(event);
        continue;
      }
      this.events++;
      this.note(event.life === undefined ? event.label : `${event.life.name} ${event.label}`);
      this.life = event.life;
      event.run();
      await settled();
      this.life = undefined;
      if (done()) return;
    }
  }

  /** Replaces the process's timers and monotonic clock until disposed of. */
  install(): Disposable {
    const real = { setTimeout, clearTimeout, setInterval, clearInterval, now: performance.now };
    const { stackTraceLimit } = Error;
    // Most errors here are part of the weather.
    Error.stackTraceLimit = 0;
    const timer = (event: Event): Timer => {
      const made: Timer = { event, unref: () => made, ref: () => made };
      return made;
    };
    const clear = (made: unknown) => {
      if (typeof made === 'object' && made !== null && 'event' in made) (made as Timer).event.cancelled = true;
    };
    const fakes = {
      setTimeout: (run: () => void, ms = 0) => timer(this.after(ms, this.life, 'timeout', run)),
      setInterval: (run: () => void, ms = 0) => {
        const period = Math.max(ms, shortestIntervalMs) + this.random.between(0, shortestIntervalMs);
        const { life } = this;
        const made = timer(this.after(period, life, 'interval', () => turn()));
        const turn = () => {
          made.event = this.after(period, life, 'interval', turn);
          run();
        };
        return made;
      },
      clearTimeout: clear,
      clearInterval: clear,
    };
    Object.assign(globalThis, fakes);
    performance.now = () => this.now - this.#startedAt;
    return {
      [Symbol.dispose]() {
        const { now, ...timers } = real;
        Object.assign(globalThis, timers);
        performance.now = now;
        Error.stackTraceLimit = stackTraceLimit;
      },
    };
  }

  #push(event: Event): void {
    const queue = this.#queue;
    let at = queue.length;
    queue.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (before(queue[parent]!, event)) break;
      queue[at] = queue[parent]!;
      at = parent;
    }
    queue[at] = event;
  }

  #pop(): void {
    const queue = this.#queue;
    const last = queue.pop()!;
    if (queue.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= queue.length) break;
      if (child + 1 < queue.length && before(queue[child + 1]!, queue[child]!)) child++;
      if (before(last, queue[child]!)) break;
      queue[at] = queue[child]!;
      at = child;
    }
    queue[at] = last;
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

const realImmediate = setImmediate;

/** Node runs every promise job before the next immediate. */
function settled(): Promise<void> {
  return new Promise(resolve => realImmediate(resolve));
}
