/** Opens what click links need, as the settings say: the key file, and the spool on a directory that nobody else uses. */
import { lockDataDir } from '../infra/embedded/instance-lock.ts';
import { type FollowedFile, followFile } from '../infra/followed-file.ts';
import type { Logger } from '../infra/log.ts';
import { givingWay } from '../infra/slices.ts';
import type { Click } from './click.ts';
import { ClickLines } from './click-lines.ts';
import type { ClickLog } from './click-log.ts';
import type { IngestConfig } from './config.ts';
import { type LinkKeys, mostKeyFileBytes, noLinkKeys, readLinkKeys } from './links/link-keys.ts';
import { openSpool, type Spool } from './spool/spool.ts';
import { openSpoolDisk } from './spool/spool-disk.ts';

export interface Links extends AsyncDisposable {
  readonly linkKeys: () => LinkKeys;
  readonly spool: Spool | undefined;
}

export interface LinksDeps {
  readonly config: IngestConfig;
  /** Must be disposed of after this. */
  readonly clickLog: Pick<ClickLog, 'append'>;
  readonly log: Logger;
  /** Left out: as followed-file.ts has it. */
  readonly lookEveryMs?: number;
}

/** @throws ConfigError */
export async function openLinks({ config, clickLog, log, lookEveryMs }: LinksDeps): Promise<Links> {
  await using opening = new AsyncDisposableStack();
  const path = config.INGEST_LINK_KEYS_FILE;
  const keys = path === '' ? undefined : opening.use(await followLinkKeys(path, log, lookEveryMs));
  const spool = await spoolOf({ config, clickLog, log }, opening);
  const opened = opening.move();
  return {
    linkKeys: keys?.current ?? (() => noLinkKeys),
    spool,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** @throws ConfigError */
function followLinkKeys(path: string, log: Logger, lookEveryMs?: number): Promise<FollowedFile<LinkKeys>> {
  const setting = 'INGEST_LINK_KEYS_FILE';
  return followFile({
    mostBytes: mostKeyFileBytes,
    ...{ path, setting, log, parse: bytes => givingWay(readLinkKeys(bytes, `${setting}=${path}`)) },
    ...(lookEveryMs !== undefined && { lookEveryMs }),
    about: ({ keys, destinations }) => ({ keys: [...keys.keys()], ads: destinations.size }),
  });
}

/** It is also there without link keys: clicks of an earlier process may wait in it. */
async function spoolOf(
  { config, clickLog, log }: LinksDeps,
  opening: AsyncDisposableStack,
): Promise<Spool | undefined> {
  const { INGEST_SPOOL_DIR: directory, INGEST_SPOOL_MAX_BYTES: maxBytes } = config;
  if (directory === '') return undefined;
  opening.use(await lockDataDir(directory, 'INGEST_SPOOL_DIR'));
  const disk = await openSpoolDisk(directory);
  const lines = new ClickLines();
  const send = (clicks: readonly Click[]) => {
    lines.clear();
    for (const click of clicks) lines.add(click);
    return clickLog.append(lines);
  };
  return opening.use(await openSpool({ disk, maxBytes, send, log }));
}
