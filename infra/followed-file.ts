/**
 * Reads a file of a setting, and reads it again when it has changed, so that it is exchanged without a restart.
 *
 * A file that breaks a rule ends the start. Later the log and a metric say so, and what was read before stays in force:
 * nothing must stop because somebody has saved half a file.
 */
import { readFile, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, messageOf } from './errors.ts';
import type { Logger } from './log.ts';
import { counter, gauge } from './metrics.ts';

export interface FollowedFile<T> extends AsyncDisposable {
  current(): T;
}

export interface FileToFollow<T> {
  readonly path: string;
  /** The setting that names it. */
  readonly setting: string;
  /**
   * May take its time: what was read before is in force until the whole is read. @throws ConfigError when the content
   * breaks a rule; its message must show no secret
   */
  readonly parse: (bytes: Buffer) => T | Promise<T>;
  /** What the log says of a content that was read. It must show no secret. */
  readonly about: (content: T) => Readonly<Record<string, unknown>>;
  readonly log: Logger;
  readonly lookEveryMs?: number;
}

/** @throws ConfigError */
export async function followFile<T>({
  path,
  setting,
  parse,
  about,
  log,
  lookEveryMs = 5_000,
}: FileToFollow<T>): Promise<FollowedFile<T>> {
  const closing = new AbortController();
  const read = async () => {
    const content = await parse(await bytesOf(path, setting));
    log.info({ setting, ...about(content) }, 'settings file: read');
    isStale.set({ setting }, 0);
    return content;
  };
  // Before the read: a change in between is then read twice, and not never.
  let seen = await stateOf(path);
  let content = await read();
  failures.inc({ setting }, 0);
  const look = async () => {
    const state = await stateOf(path);
    if (state === seen) return;
    seen = state;
    try {
      content = await read();
    } catch (error) {
      failures.inc({ setting });
      isStale.set({ setting }, 1);
      log.error(
        { setting, why: messageOf(error) },
        'settings file: the change is NOT in force, what was read before is',
      );
    }
  };
  const following = (async () => {
    while (await isTime(lookEveryMs, closing.signal)) await look();
  })();
  return {
    current: () => content,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await following;
    },
  };
}

/** Returns false when it was stopped. */
async function isTime(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal, ref: false });
    return true;
  } catch {
    return false;
  }
}

/** A file that was put in the place of another one differs in its number, if in nothing else. */
async function stateOf(path: string): Promise<string> {
  try {
    const { mtimeNs, size, ino } = await stat(path, { bigint: true });
    return `${mtimeNs} ${size} ${ino}`;
  } catch {
    return 'none';
  }
}

async function bytesOf(path: string, setting: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new ConfigError(`${setting}=${path}: cannot be read (${messageOf(error)})`, { cause: error });
  }
}

const failures = counter('settings_file_failures_total', 'Changes of a settings file that could not be read', [
  'setting',
]);
const isStale = gauge('settings_file_stale', '1 while the settings file is not what is in force, else 0', ['setting']);
