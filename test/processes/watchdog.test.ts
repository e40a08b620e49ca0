/** The watchdog ends a process whose event loop hangs, and lets a busy one live. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startService } from '../../infra/embedded/service.ts';
import { createSupervisor, type Supervisor } from '../../infra/embedded/supervisor.ts';
import { quietPort } from '../support/quiet-port.ts';
import { startService as startAlone } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const program = join(import.meta.dirname, '../support/slow-server.ts');
const limit = { EVENT_LOOP_STALL_MS: '1000' };

describe('the watchdog', () => {
  it('ends a process that spins in microtasks for ever, and says so in one line', async () => {
    await using service = await startAlone('test/support/slow-server.ts', 'PORT', limit);
    await service.ready();
    const first = service.pid;
    await fetch(`${service.url}/spin`, { method: 'POST' });
    // Started again by what stands for its supervisor here.
    await eventually('it is another process', () => service.pid !== first);
    const line = service.logs().match(/^\{.*stalled: .*$/gm);
    expect(line).toHaveLength(1);
    expect(JSON.parse(line?.[0] ?? '')).toMatchObject({
      level: 'error',
      service: 'slow',
      pid: first,
      stoodMs: expect.any(Number),
      limitMs: 1_000,
      msg: 'stalled: the event loop stands still, the watchdog ends the process',
    });
  });

  it('ends a process that waits in native code for longer than the limit, and not for less', async () => {
    await using service = await startAlone('test/support/slow-server.ts', 'PORT', limit);
    await service.ready();
    const first = service.pid;
    const block = (ms: number) =>
      fetch(`${service.url}/block`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ms }),
      }).catch(() => undefined);
    expect((await block(300))?.status).toBe(200);
    expect(service.pid).toBe(first);
    expect(await block(60_000)).toBeUndefined();
    await eventually('it is another process', () => service.pid !== first);
    expect(service.logs()).toContain('waits for something outside of JavaScript');
  });

  it('does not end a process that was stopped as a whole for longer than the limit', async () => {
    await using service = await startAlone('test/support/slow-server.ts', 'PORT', limit);
    await service.ready();
    const first = service.pid;
    for (const stoppedMs of [3_000, 1_500]) {
      service.signal('SIGSTOP');
      await sleep(stoppedMs);
      service.signal('SIGCONT');
      await sleep(1_500);
    }
    await service.ready();
    expect([service.pid, service.logs().includes('stalled')]).toEqual([first, false]);
  });
});

describe('the supervisor', () => {
  let directory: string;
  let supervisor: Supervisor;
  const stop = new AbortController();
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'watchdog-'));
  });
  afterEach(async () => {
    await supervisor.stop(5_000);
    rmSync(directory, { recursive: true, force: true });
  });

  /** Two of them, so that each tells of the other, too. */
  const supervise = async (silenceMs: number, env: NodeJS.ProcessEnv) => {
    const pids: Record<string, number> = {};
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: line => void lines.push(line) });
    supervisor = createSupervisor(log, stop.signal, silenceMs);
    const child = async (name: string, extra: NodeJS.ProcessEnv) => {
      const port = await quietPort();
      const url = `http://127.0.0.1:${port}`;
      const childEnv = { ...process.env, ...limit, DRAIN_DELAY_MS: '0', PORT: `${port}`, ...extra };
      const start = async () => {
        const running = await startService({ program, env: childEnv, onLine: line => lines.push(line) });
        pids[name] = running.pid;
        return running;
      };
      await supervisor.run([{ name, start, healthUrl: url }]);
      return url;
    };
    const [good, bad] = [await child('good', {}), await child('bad', env)];
    const counted = async (url: string, reason: string) => {
      const answer = await fetch(`${url}/metrics`).catch(() => undefined);
      const text = (await answer?.text()) ?? '';
      return Number(
        new RegExp(`child_restarts_total\\{child="bad",reason="${reason}"\\} (\\d+)`).exec(text)?.[1] ?? -1,
      );
    };
    return { pids, lines, good, bad, counted };
  };

  it('starts a process again that its watchdog has ended, and counts it as stalled', async () => {
    const { lines, good, bad, counted } = await supervise(60_000, { SPINS_ONCE: join(directory, 'spun') });
    await eventually('it is up again, and counted', async () => (await counted(bad, 'stalled')) === 1);
    await eventually('the other counts it, too', async () => (await counted(good, 'stalled')) === 1);
    expect(await counted(good, 'silent')).toBe(0);
    expect(lines.filter(line => line.includes('stalled: the event loop stands still'))).toHaveLength(1);
    const [ended] = lines.filter(line => line.includes('child ended, it is started again'));
    expect(JSON.parse(ended ?? '')).toMatchObject({ child: 'bad', why: 'stalled', signal: 'SIGALRM' });
  });

  it('ends a process that no longer answers, starts it again, and counts it as silent', async () => {
    const { pids, lines, bad, good, counted } = await supervise(2_000, {});
    await eventually('both are up', async () => (await counted(bad, 'silent')) === 0);
    // It must have been seen alive.
    await sleep(1_000);
    const first = pids['bad'] ?? 0;
    process.kill(first, 'SIGSTOP');
    await eventually('it is up again, and counted', async () => (await counted(good, 'silent')) === 1);
    await eventually('it is another process', () => pids['bad'] !== first);
    const line = lines.find(text => text.includes('child does not answer /healthz'));
    expect(JSON.parse(line ?? '')).toMatchObject({ child: 'bad', pid: first, silentMs: expect.any(Number) });
  });
});
