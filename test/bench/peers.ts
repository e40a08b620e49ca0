/**
 * Runs the peers kit (a directory with `run.sh`: Flink, Kafka Streams, and a scanner in Go as the ceiling) on the same
 * broker. It needs Go, a JDK and Maven; where it is not given, nothing is compared.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Cells, Workload } from './workload.ts';

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

const run = promisify(execFile);

/** Fills the topic with the clicks that the peers are given too (late ones included), and returns what is to be counted, and what is late. */
export async function fillByKit(
  kit: string,
  brokers: string,
  topic: string,
  { clicks, lines, ads, minutes, partitions, begin }: Workload,
): Promise<{ truth: Cells; late: Cells }> {
  await run('go', ['build', '-o', 'bin/', './gen'], { cwd: kit });
  const files = { truth: join(kit, 'truth.csv'), 'late-truth': join(kit, 'late.csv') };
  const start = begin === undefined ? {} : { start: begin };
  const given = { brokers, topic, events: clicks, lines, partitions, ads, minutes, ...start, ...files };
  await run(join(kit, 'bin/gen'), flagsOf(given), { timeout: 900_000 });
  return { truth: cellsIn(files.truth), late: cellsIn(files['late-truth']) };
}

function cellsIn(csv: string): Cells {
  const rows = readFileSync(csv, 'utf8')
    .split('\n')
    .filter(row => row !== '');
  return new Map(
    rows.map(row => {
      const [adId, minute, count] = row.split(',');
      return [`${adId}|${Number(minute) / 60}`, Number(count)];
    }),
  );
}

/** @throws if a peer fails or counts wrongly */
export async function runPeers(
  kit: string,
  brokers: string,
  { clicks, lines, ads, minutes, partitions }: Workload,
  only: string,
): Promise<PeerRun[]> {
  const given = { brokers, events: clicks, lines, partitions, ads, minutes, only };
  const { stdout } = await run('bash', [join(kit, 'run.sh'), ...flagsOf(given)], { timeout: 900_000 });
  return stdout
    .split('\n')
    .filter(line => /^\| [^|]+\| +\d/.test(line))
    .map(line => {
      const [, name = '', events, , perSecond, , cpuSeconds] = line.split('|').map(cell => cell.trim());
      const cpuSecondsPerMillion = (Number(cpuSeconds) / Number(events)) * 1e6;
      return { name, clicksPerSecond: Number(perSecond), cpuSecondsPerMillion };
    });
}

function flagsOf(given: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(given).flatMap(([name, value]) => [`--${name}`, String(value)]);
}
