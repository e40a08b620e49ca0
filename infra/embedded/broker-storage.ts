/**
 * Formats the broker's storage in a separate directory and then renames it, so that a start that was killed meanwhile
 * leaves nothing half done.
 */
import { execFile } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type BrokerFiles, serverSettings, sharedClasses, writeSettings } from './broker-files.ts';

interface Programs {
  readonly java: string;
  readonly jars: string;
}

export async function formatOnce({ java, jars }: Programs, files: BrokerFiles): Promise<void> {
  if (existsSync(files.logs)) return;
  const draft = join(files.home, 'logs.draft');
  const settings = join(files.home, 'format.properties');
  rmSync(draft, { recursive: true, force: true });
  writeSettings(settings, serverSettings({ host: '127.0.0.1', port: 9092, controllerPort: 9093 }, draft));
  const clusterId = mintClusterId();
  const jvm = ['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', ...sharedClasses(jars)];
  const format = ['kafka.tools.StorageTool', 'format', '--cluster-id', clusterId, '--config', settings];
  await promisify(execFile)(java, [...jvm, '-cp', join(jars, '*'), ...format]);
  renameSync(draft, files.logs);
  rmSync(settings);
}

/** 128 random bits except one: an id that begins with `-` would be taken for a flag. */
export function mintClusterId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return Buffer.from(bytes).toString('base64url');
}
