/**
 * Reads the key file of click links, and reads it again when it has changed, so that keys are rotated without a restart.
 *
 * A file that breaks a rule ends the start. Later it is told in the log, and what was read before goes on: links must not
 * stop because somebody saved half a file.
 */
import { readFile, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, messageOf } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import { counter } from '../../infra/metrics.ts';
import { type LinkKeys, parseLinkKeys } from './link-keys.ts';

export interface FollowedLinkKeys extends AsyncDisposable {
  current(): LinkKeys;
}

export interface LinkKeysFile {
  readonly path: string;
  /** What errors call it. */
  readonly name: string;
  readonly log: Logger;
  readonly lookEveryMs?: number;
}

/** @throws ConfigError */
export async function followLinkKeys({
  path,
  name,
  log,
  lookEveryMs = 5_000,
}: LinkKeysFile): Promise<FollowedLinkKeys> {
  const closing = new AbortController();
  // Before the read: a change in between is then read twice, and not never.
  let seen = await stateOf(path);
  let keys = parseLinkKeys(await textOf(path, name), name);
  const tell = () => log.info({ keys: [...keys.keys.keys()], ads: keys.destinations.size }, 'link keys: read');
  tell();

  const look = async () => {
    const state = await stateOf(path);
    if (state === seen) return;
    seen = state;
    try {
      keys = parseLinkKeys(await textOf(path, name), name);
      tell();
    } catch (error) {
      failures.inc();
      log.error({ why: messageOf(error) }, 'link keys: the changed file is NOT in force, what was read before is');
    }
  };
  const following = (async () => {
    for (;;) {
      try {
        await sleep(lookEveryMs, undefined, { signal: closing.signal, ref: false });
      } catch {
        return;
      }
      await look();
    }
  })();
  return {
    current: () => keys,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await following;
    },
  };
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

async function textOf(path: string, name: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`${name}: cannot be read (${messageOf(error)})`, { cause: error });
  }
}

const failures = counter('link_keys_not_read_total', 'Changes of the key file of click links that could not be read');
