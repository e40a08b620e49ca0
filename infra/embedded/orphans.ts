/**
 * Waits for the processes that a killed supervisor has left. Its services notice its end and drain by themselves. Until
 * then they hold ports and the database's files, and a new start would fail because of them. Its broker continues to
 * run.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../log.ts';
import { readRegularFileSync } from '../regular-file.ts';
import { brokerFiles } from './broker-files.ts';
import { commandLineOf, identityOf, isAlive, livingPid } from './process-identity.ts';

/** Records a child, so that a later start can find it. */
export function recordChild(dataDir: string, name: string, pid: number): void {
  mkdirSync(directoryOf(dataDir), { recursive: true });
  writeFileSync(join(directoryOf(dataDir), name), identityOf(pid));
}

/** Resolves when no child of an earlier run is left. One that has not drained after `drainMs` is ended by force. */
export async function endOrphans(dataDir: string, drainMs: number, log: Logger): Promise<void> {
  const recorded = recordedIn(directoryOf(dataDir));
  if (recorded.some(identity => livingPid(identity)))
    log.warn('waiting for the services that an earlier run has left behind');
  const deadline = performance.now() + drainMs;
  for (const identity of recorded) {
    while (livingPid(identity) !== undefined) {
      const pid = livingPid(identity);
      if (pid !== undefined && performance.now() > deadline) process.kill(pid, 'SIGKILL');
      await sleep(50);
    }
  }
  rmSync(directoryOf(dataDir), { recursive: true, force: true });
}

/**
 * A broker whose supervisor was killed still holds its port and files. It belongs to this pipeline if it runs with this
 * settings file.
 */
export async function endOrphanBroker(dataDir: string, log: Logger): Promise<void> {
  const files = brokerFiles(dataDir);
  const pid = Number(textIn(files.pid));
  const isOurs = () => isAlive(pid) && commandLineOf(pid)?.includes(files.serverProperties) === true;
  if (!(pid > 0) || !isOurs()) return;
  log.warn({ pid }, 'ending the broker that an earlier run has left behind');
  process.kill(pid, 'SIGTERM');
  for (let waitedMs = 0; isOurs(); waitedMs += 50) {
    if (waitedMs === brokerStopTimeoutMs) process.kill(pid, 'SIGKILL');
    await sleep(50);
  }
}

const brokerStopTimeoutMs = 6_000;

function directoryOf(dataDir: string): string {
  return join(dataDir, 'children');
}

/** One that cannot be read hides no other one. */
function recordedIn(directory: string): string[] {
  try {
    return readdirSync(directory).map(name => textIn(join(directory, name)));
  } catch {
    return [];
  }
}

/** Empty where there is no such file, or it cannot be read. */
function textIn(path: string): string {
  try {
    return readRegularFileSync(path).toString();
  } catch {
    return '';
  }
}
