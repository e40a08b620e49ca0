/**
 * Runs the peers kit (a directory with `run.sh`: Flink, Kafka Streams, and a scanner in Go as the ceiling) on the same
 * broker. It needs Go, a JDK and Maven; where it is not given, nothing is compared.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Workload } from './workload.ts';

export interface PeerRun {
  readonly name: string;
  readonly clicksPerSecond: number;
  readonly cpuSecondsPerMillion: number;
}

/** Copies the kit to `workDir`, where it is built: it may lie where nobody may write. */
export function copyKit(kitDir: string, workDir: string): string {
  if (!existsSync(join(kitDir, 'run.sh'))) throw new Error(`--peers ${kitDir}: no run.sh there`);
  const copy = join(workDir, 'peers');
  cpSync(kitDir, copy, { recursive: true });
  return copy;
}

/** @throws if a peer fails or counts wrongly */
export async function runPeers(
  kit: string,
  brokers: string,
  { clicks, lines, ads, minutes, partitions }: Workload,
  only: string,
): Promise<PeerRun[]> {
  const given = { brokers, events: clicks, lines, partitions, ads, minutes, only };
  const flags = Object.entries(given).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { stdout } = await promisify(execFile)('bash', [join(kit, 'run.sh'), ...flags], { timeout: 900_000 });
  return stdout
    .split('\n')
    .filter(line => /^\| [^|]+\| +\d/.test(line))
    .map(line => {
      const [, name = '', events, , perSecond, , cpuSeconds] = line.split('|').map(cell => cell.trim());
      const cpuSecondsPerMillion = (Number(cpuSeconds) / Number(events)) * 1e6;
      return { name, clicksPerSecond: Number(perSecond), cpuSecondsPerMillion };
    });
}
