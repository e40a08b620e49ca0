/** Opens what decides which fields of a click are kept, as the settings say: the key of hashes, and the geo database. */
import type { Logger } from '../infra/log.ts';
import type { IngestConfig } from './config.ts';
import { followGeoCountries } from './geo-country.ts';
import type { KeptFields } from './kept-click.ts';
import { createPersonalData } from './privacy/personal-data.ts';
import { personalDataRulesOf } from './privacy/privacy-config.ts';

/** @throws ConfigError */
export async function openKeptFields(
  config: IngestConfig,
  log: Logger,
): Promise<{ readonly kept: KeptFields } & AsyncDisposable> {
  const personal = createPersonalData(personalDataRulesOf(config));
  const path = config.INGEST_GEO_FILE;
  const geo = path === '' ? undefined : await followGeoCountries(path, log);
  return {
    kept: { personal, countryOfAddress: geo?.countryOfAddress },
    [Symbol.asyncDispose]: async () => geo?.[Symbol.asyncDispose](),
  };
}
