/** Opens the lists by which facts of clicks are found, as the settings say, and follows their files. */
import { followFile } from '../infra/followed-file.ts';
import type { Logger } from '../infra/log.ts';
import { givingWay } from '../infra/slices.ts';
import type { IngestConfig } from './config.ts';
import type { FactLists } from './fact-finding/fact-finder.ts';
import { listLimits, readValidityList, type ValidityList } from './fact-finding/validity-list.ts';

type ListSetting = 'INGEST_DATACENTRE_FILE' | 'INGEST_DENY_FILE' | 'INGEST_ALLOW_FILE';

/** @throws ConfigError when a file breaks a rule */
export async function openFactLists(
  config: Pick<IngestConfig, ListSetting>,
  log: Logger,
  lookEveryMs?: number,
): Promise<{ readonly lists: FactLists } & AsyncDisposable> {
  await using opening = new AsyncDisposableStack();
  const open = async (setting: ListSetting, holds: 'networks' | 'userAgentsToo') => {
    const path = config[setting];
    if (path === '') return undefined;
    const file = await followFile({
      ...{ path, setting, log, ...(lookEveryMs !== undefined && { lookEveryMs }) },
      mostBytes: listLimits.bytes,
      parse: bytes => givingWay(readValidityList(bytes, `${setting}=${path}`, holds)),
      about: ({ networks, userAgents }: ValidityList) => ({ networks: networks.size, userAgents: userAgents.length }),
    });
    opening.use(file);
    return () => file.current();
  };
  const lists = {
    datacentre: await open('INGEST_DATACENTRE_FILE', 'networks'),
    deny: await open('INGEST_DENY_FILE', 'userAgentsToo'),
    allow: await open('INGEST_ALLOW_FILE', 'userAgentsToo'),
  };
  const opened = opening.move();
  return { lists, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
