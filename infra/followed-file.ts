/**
 * Reads a file of a setting, and reads it again when it has changed, so that it is exchanged without a restart.
 *
 * A file that breaks a rule ends the start. Later the log and a metric say so, and what was read before stays in force:
 * nothing must stop because somebody has saved half a file. Half a list may break no rule. So a change is read when two
 * looks have found the same state of the file, and taken if it has that state after the reading, too.
 */
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, messageOf } from './errors.ts';
import type { Logger } from './log.ts';
import { counter, gauge } from './metrics.ts';
import { readRegularFile } from './regular-file.ts';

export interface FollowedFile<T> extends AsyncDisposable {
  current(): T;
}

export interface FileToFollow<T> {
  readonly path: string;
  /** The setting that names it. */
  readonly setting: string;
  /** A larger file is refused before it is read. */
  readonly mostBytes: number;
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
export async function followFile<T>(file: FileToFollow<T>): Promise<FollowedFile<T>> {
  const { path, setting, log, lookEveryMs = 5_000 } = file;
  const closing = new AbortController();
  // Before the read: a change in between is then read twice, and not never.
  let seen = await stateOf(path);
  let before = seen;
  let content: T;
  const takeInForce = (next: T) => {
    content = next;
    log.info({ setting, ...file.about(next) }, 'settings file: read');
    isStale.set({ setting }, 0);
  };
  takeInForce(await read(file));
  failures.inc({ setting }, 0);
  let told = '';
  /** What could not be read is looked at again and again: one line tells it. */
  const refuse = (error: unknown, state: string) => {
    isStale.set({ setting }, 1);
    const why = messageOf(error);
    if (told === `${state} ${why}`) return;
    told = `${state} ${why}`;
    failures.inc({ setting });
    log.error({ setting, why }, 'settings file: the change is NOT in force, what was read before is');
  };
  const look = async () => {
    const state = await stateOf(path);
    const isSettled = state === before;
    before = state;
    if (state === seen || !isSettled) return;
    try {
      const changed = await read(file);
      if ((await stateOf(path)) !== state) return;
      takeInForce(changed);
      seen = state;
    } catch (error) {
      refuse(error, state);
      // It may be the same file again that can be read the next time, of which nothing else would tell.
      seen = error instanceof Unreadable ? '' : state;
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

/** The disk did not answer, there were too many open files, or there is no file. Its content may break no rule. */
class Unreadable extends ConfigError {}

async function read<T>({ path, setting, mostBytes, parse }: FileToFollow<T>): Promise<T> {
  let bytes: Buffer;
  try {
    bytes = await readRegularFile(path, mostBytes);
  } catch (error) {
    throw new Unreadable(`${setting}=${path}: cannot be read (${messageOf(error)})`, { cause: error });
  }
  return await parse(bytes);
}

const failures = counter('settings_file_failures_total', 'Changes of a settings file that could not be read', [
  'setting',
]);
const isStale = gauge('settings_file_stale', '1 while the settings file is not what is in force, else 0', ['setting']);
