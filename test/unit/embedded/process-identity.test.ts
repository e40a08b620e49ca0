import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { identityOf, isAlive, livingPid } from '../../../infra/embedded/process-identity.ts';
import { firstOutput } from '../../support/first-output.ts';
import { eventually } from '../../support/wait.ts';

it('knows a running process by its identity, and nobody once it has ended', async () => {
  const child = spawn('sleep', ['60']);
  await once(child, 'spawn');
  const identity = identityOf(child.pid ?? 0);
  expect(livingPid(identity)).toBe(child.pid);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(livingPid(identity)).toBeUndefined();
});

it('does not take a process for alive that has ended and was not reaped', async () => {
  // The shell starts a child, tells its pid and becomes a program that never reaps it. The child is ended only when the
  // program has answered: the shell itself would reap it.
  const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec cat']);
  const pid = Number(await firstOutput(parent));
  parent.stdin.write('exec\n');
  await firstOutput(parent);
  process.kill(pid, 'SIGKILL');
  await eventually('ended', () => !isAlive(pid));
  expect(() => process.kill(pid, 0)).not.toThrow();
  parent.kill('SIGKILL');
  await once(parent, 'exit');
});
