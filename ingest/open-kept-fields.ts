/** Opens what decides which fields of a click are kept, and what is found out about it, as the settings say. */
import type { Logger } from '../infra/log.ts';
import type { IngestConfig } from './config.ts';
import { FactFinder } from './fact-finding/fact-finder.ts';
import { followGeoCountries } from './geo-country.ts';
import type { KeptFields } from './kept-click.ts';
import { openFactLists } from './open-fact-lists.ts';
import { createPersonalData } from './privacy/personal-data.ts';
import { personalDataRulesOf } from './privacy/privacy-config.ts';

/** @throws ConfigError */
export async function openKeptFields(
  config: IngestConfig,
  log: Logger,
): Promise<{ readonly kept: KeptFields } & AsyncDisposable> {
  await using opening = new AsyncDisposableStack();
  const personal = createPersonalData(personalDataRulesOf(config));
  const path = config.INGEST_GEO_FILE;
  const geo = path === '' ? undefined : opening.use(await followGeoCountries(path, log));
  const { lists } = opening.use(await openFactLists(config, log));
  const opened = opening.move();
  return {
    kept: { personal, countryOfAddress: geo?.countryOfAddress, finder: new FactFinder(lists) },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
