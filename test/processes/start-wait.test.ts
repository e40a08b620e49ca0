/** How long a start is waited for, with real children that make progress, hang or die. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { askedPatiently, busyness, type StartedProgram, untilStarted } from '../../infra/embedded/start-wait.ts';
import { Retryable } from '../../infra/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'start-wait-'));
const log = join(directory, 'broker.log');
let child: ChildProcess | undefined;

afterEach(() => {
  child?.kill('SIGKILL');
  rmSync(log, { force: true });
});

/** A real program that works, or does nothing at all, and answers after a while. */
async function program(kind: 'works' | 'idle', answersAfterMs: number): Promise<StartedProgram & { said: string[] }> {
  const code = kind === 'works' ? 'setInterval(() => { for (const t = Date.now(); Date.now() < t + 30; ); }, 50)' : '';
  child = kind === 'works' ? spawn(process.execPath, ['-e', code]) : spawn('sleep', ['600']);
  const said: string[] = [];
  const readyAt = performance.now() + answersAfterMs;
  return {
    ...{ name: 'the broker', pid: child.pid ?? 0, logs: [log], timeoutMs: 60_000, pauseMs: 20, reportEveryMs: 200 },
    standstillMs: 2_000,
    isReady: async () => performance.now() >= readyAt,
    say: line => said.push(line),
    said,
  };
}

describe('a start', () => {
  it('is waited for while the program works, longer than one that stands still may take, and says what is slow', async () => {
    writeFileSync(log, 'INFO first\nINFO loading the log of clicks-3\n');
    const slow = await program('works', 5_000);
    await untilStarted(slow);
    expect(slow.said.length).toBeGreaterThan(2);
    expect(slow.said[0]).toMatch(/^still waiting for the broker after \d+ s.*; it last said: INFO loading the log of/);
  });

  it('is waited for while the program writes, though it has no CPU time', async () => {
    const writing = await program('idle', 5_000);
    const lines = setInterval(() => writeFileSync(log, 'INFO another line\n', { flag: 'a' }), 100);
    await untilStarted(writing).finally(() => clearInterval(lines));
  });

  it('is given up where the program does nothing', async () => {
    const idle = await program('idle', 60_000);
    await expect(untilStarted(idle)).rejects.toThrow(/^the broker has made no progress with its start for 2 s$/);
  });

  it('is given up at the limit that is set, whatever the program does, with its last words', async () => {
    writeFileSync(log, 'ERROR no space left on device\n');
    const endless = { ...(await program('works', 60_000)), timeoutMs: 1_500 };
    const error = await untilStarted(endless).catch((error: unknown) => error);
    expect(error).toMatchObject({
      message: `the broker did not answer within 1.5 s (START_TIMEOUT_MS); it last said: ERROR no space left on device (see ${log})`,
    });
  });

  it('ends with the signal', async () => {
    const stop = new AbortController();
    const waiting = untilStarted({ ...(await program('works', 60_000)), signal: stop.signal });
    setTimeout(() => stop.abort(new Error('stopped')), 100);
    await expect(waiting).rejects.toThrow('stopped');
  });
});

describe('what is asked of a program that starts', () => {
  it('is asked again while it is slow, and no longer than the limit', async () => {
    let asked = 0;
    const said: string[] = [];
    const work = async () => {
      if (++asked < 3) throw new Retryable('create topics: timed out');
      return 'done';
    };
    const limits = { timeoutMs: 60_000, say: (line: string) => said.push(line) };
    expect(await askedPatiently('creating topics', limits, work, 1)).toBe('done');
    expect(said).toHaveLength(2);
    expect(said[0]).toMatch(/^still creating topics, for 0 s.*: create topics: timed out$/);
    const never = () => Promise.reject(new Retryable('away'));
    await expect(askedPatiently('creating topics', { timeoutMs: 0 }, never, 1)).rejects.toThrow('away');
    const wrong = () => sleep(1).then(() => Promise.reject(new Error('wrong')));
    await expect(askedPatiently('creating topics', limits, wrong, 1)).rejects.toThrow('wrong');
  });
});

it('says that a machine is busy where more wants to run than twice what can', () => {
  expect(busyness(60.4, 2)).toBe(' (the machine is busy: 60 processes compete for its 2 cores)');
  expect(busyness(4, 2)).toBe('');
});
