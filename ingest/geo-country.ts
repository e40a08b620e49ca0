/**
 * Finds the country of an address in a geo database that the operator has, in the format of MaxMind (`.mmdb`).
 *
 * A country that the database knows under a code that is none of ours (`country.ts`) stays unknown. So does one in a part
 * of the database that is damaged, which shows only when it is read: the click counts, and the log says so once.
 */
import ipaddr from 'ipaddr.js';
import { type CountryResponse, Reader } from 'mmdb-lib';
import { ConfigError, messageOf } from '../infra/errors.ts';
import { followFile } from '../infra/followed-file.ts';
import type { Logger } from '../infra/log.ts';
import { counter } from '../infra/metrics.ts';
import { countryOf, unknownCountry } from './country.ts';

/** Returns the code of a country, or `ZZ`. `ip` must be an address. */
export type CountryOfAddress = (ip: string) => string;

export interface GeoCountries extends AsyncDisposable {
  readonly countryOfAddress: CountryOfAddress;
}

const setting = 'INGEST_GEO_FILE';
/** It is held in memory. One of all cities has about 100 MB. */
const mostBytes = 1 << 30;

/** @throws ConfigError when the file is no such database */
export async function followGeoCountries(path: string, log: Logger, lookEveryMs?: number): Promise<GeoCountries> {
  const file = await followFile({
    mostBytes,
    ...{ path, setting, log, parse: readerOf, ...(lookEveryMs !== undefined && { lookEveryMs }) },
    about: ({ metadata }) => ({ database: metadata.databaseType, built: metadata.buildEpoch }),
  });
  let told: Reader<CountryResponse> | undefined;
  return {
    countryOfAddress(ip) {
      const reader = file.current();
      try {
        return countryIn(reader, ip);
      } catch (error) {
        failures.inc();
        if (told !== reader)
          log.error({ setting, path, why: messageOf(error) }, 'a part of the geo database is damaged');
        told = reader;
        return unknownCountry;
      }
    },
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}

function readerOf(bytes: Buffer): Reader<CountryResponse> {
  try {
    return new Reader<CountryResponse>(bytes);
  } catch (error) {
    throw new ConfigError(`${setting}: is no database in the format of MaxMind (${messageOf(error)})`, {
      cause: error,
    });
  }
}

function countryIn(reader: Reader<CountryResponse>, ip: string): string {
  // The reader does not know IPv4 in the form of IPv6.
  const found = reader.get(ip.includes(':') ? ipaddr.process(ip).toString() : ip);
  const code = found?.country?.iso_code ?? found?.registered_country?.iso_code;
  return (code === undefined ? undefined : countryOf(code)) ?? unknownCountry;
}

const failures = counter(
  'geo_lookup_failures_total',
  'Addresses whose country is unknown because the geo database is damaged where it would be',
);
