import { pino } from 'pino';
import { describe, expect, it, vi } from 'vitest';
import type { Exit, Running } from '../../../infra/embedded/service.ts';
import { type ChildSpec, createSupervisor } from '../../../infra/embedded/supervisor.ts';
import { ConfigError } from '../../../infra/errors.ts';

const silent = pino({ level: 'silent' });

describe('the supervisor', () => {
  it('starts a child again that ends, and says which, how and when', async () => {
    const log = { warn: vi.fn() };
    const supervisor = createSupervisor(Object.assign(silent.child({}), log), new AbortController().signal);
    const child = fakeChild('ingest');
    await supervisor.run([child.spec]);
    child.end({ code: null, signal: 'SIGKILL' });
    await vi.waitFor(() => expect(child.starts).toBe(2), 2_000);
    const line = { child: 'ingest', why: 'killed', code: null, signal: 'SIGKILL', startsAgainInMs: 250 };
    expect(log.warn).toHaveBeenCalledWith(line, 'child ended, it is started again');
    await supervisor.stop(1_000);
  });

  it('tries again when starting it again fails', async () => {
    const supervisor = createSupervisor(silent, new AbortController().signal);
    const child = fakeChild('broker', { failingStarts: [2] });
    await supervisor.run([child.spec]);
    child.end({ code: 1, signal: null });
    await vi.waitFor(() => expect(child.starts).toBe(3), 3_000);
    await supervisor.stop(1_000);
  });

  it('gives up with the child’s own words when its configuration cannot work', async () => {
    const supervisor = createSupervisor(silent, new AbortController().signal);
    const child = fakeChild('ingest');
    await supervisor.run([child.spec]);
    child.end({ code: 78, signal: null, reason: 'INGEST_PORT="x": must be a whole number' });
    await expect(supervisor.givenUp).rejects.toEqual(new ConfigError('INGEST_PORT="x": must be a whole number'));
    expect(child.starts).toBe(1);
  });

  it('passes on why a first start failed, and stops what started beside it', async () => {
    const supervisor = createSupervisor(silent, new AbortController().signal);
    const [good, bad] = [fakeChild('good'), fakeChild('bad', { failingStarts: [1] })];
    await expect(supervisor.run([good.spec, bad.spec])).rejects.toThrow('bad does not start');
    await supervisor.stop(1_000);
    expect(good.stoppedWithinMs).toHaveLength(1);
  });

  it('stops the stages in the opposite order, each when the one after it has ended', async () => {
    const supervisor = createSupervisor(silent, new AbortController().signal);
    const ended: string[] = [];
    const children = ['broker', 'store', 'aggregator', 'ingest'].map(name => fakeChild(name, { ended, stopsInMs: 20 }));
    for (const { spec } of children) await supervisor.run([spec]);
    await supervisor.stop(5_000);
    expect(ended).toEqual(['ingest', 'aggregator', 'store', 'broker']);
    expect(children.map(({ starts }) => starts)).toEqual([1, 1, 1, 1]);
  });

  it('leaves time for the later stages when the first one takes all it may', async () => {
    const supervisor = createSupervisor(silent, new AbortController().signal);
    const [broker, store, ingest] = ['broker', 'store', 'ingest'].map(name => fakeChild(name, { stopsInMs: Infinity }));
    for (const child of [broker, store, ingest]) if (child) await supervisor.run([child.spec]);
    const startedAt = performance.now();
    await supervisor.stop(2_300);
    expect(performance.now() - startedAt).toBeLessThan(2_600);
    expect(Math.min(...[broker, store, ingest].flatMap(child => child?.stoppedWithinMs ?? []))).toBeGreaterThanOrEqual(
      300,
    );
  });

  it('does not start a child again after the signal to stop', async () => {
    const stop = new AbortController();
    const supervisor = createSupervisor(silent, stop.signal);
    const child = fakeChild('ingest');
    await supervisor.run([child.spec]);
    stop.abort();
    child.end({ code: 0, signal: null });
    await supervisor.stop(1_000);
    expect(child.starts).toBe(1);
  });
});

interface Behaviour {
  readonly failingStarts?: readonly number[];
  /** Infinity: only force ends it. */
  readonly stopsInMs?: number;
  readonly ended?: string[];
}

function fakeChild(name: string, { failingStarts = [], stopsInMs = 0, ended = [] }: Behaviour = {}) {
  let end: (exit: Exit) => void = () => undefined;
  const child = {
    starts: 0,
    stoppedWithinMs: [] as number[],
    end: (exit: Exit) => end(exit),
    spec: { name, start: () => start() } satisfies ChildSpec,
  };
  const start = async (): Promise<Running> => {
    child.starts++;
    if (failingStarts.includes(child.starts)) throw new Error(`${name} does not start`);
    const { promise, resolve } = Promise.withResolvers<Exit>();
    end = resolve;
    const stop = async (timeoutMs: number) => {
      child.stoppedWithinMs.push(timeoutMs);
      setTimeout(() => resolve({ code: 0, signal: null }), Math.min(stopsInMs, timeoutMs));
      await promise;
      ended.push(name);
    };
    return { pid: 1, exited: promise, stop };
  };
  return child;
}
