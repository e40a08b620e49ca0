import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createIdleJudge, type Reading } from '../../../infra/idle-memory.ts';

const idle: Reading = { utilization: 0.01, heapUsedMb: 20, heapTotalMb: 60 };
const busy: Reading = { ...idle, utilization: 0.4 };

it('collects once nothing has happened for a while, and not again while the heap stays small', () => {
  const judge = createIdleJudge();
  expect([busy, idle].map(reading => judge.isDue(reading))).toEqual([false, false]);
  expect(judge.isDue(idle)).toBe(true);
  judge.collected(20);
  expect(judge.isDue({ ...idle, heapTotalMb: 24 })).toBe(false);
  expect(judge.isDue({ ...idle, heapTotalMb: 40 })).toBe(true);
});

it('never collects under load, nor just after it', () => {
  const judge = createIdleJudge();
  expect([busy, busy, busy, idle, busy, idle].some(reading => judge.isDue(reading))).toBe(false);
});

it('leaves a large heap alone, as to look through it would hold up the next click', () => {
  const judge = createIdleJudge();
  const large = { ...idle, heapUsedMb: 400, heapTotalMb: 900 };
  expect([large, large, large].some(reading => judge.isDue(reading))).toBe(false);
});

it('hands back what a process has used before it became idle', () => {
  const file = join(import.meta.dirname, '../../../infra/idle-memory.ts');
  // Time passes ten readings at a time; the collector and the heap are real.
  const program = `
    let onTimer;
    globalThis.setInterval = callback => { onTimer = callback; return { unref() {} }; };
    const { handBackMemoryWhenIdle } = await import(${JSON.stringify(file)});
    handBackMemoryWhenIdle();
    performance.eventLoopUtilization = () => ({ utilization: 0 });
    let kept = [];
    for (let i = 0; i < 400_000; i++) kept.push({ i, name: 'x' + i });
    kept = undefined;
    const before = process.memoryUsage().heapTotal;
    onTimer(); onTimer();
    console.log(JSON.stringify({ before, after: process.memoryUsage().heapTotal, seesCollector: typeof globalThis.gc }));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  const { before, after, seesCollector } = JSON.parse(stdout);
  expect(after).toBeLessThan(before / 2);
  expect(seesCollector).toBe('undefined');
});
