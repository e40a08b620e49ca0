/** The country of an address, out of a geo database. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { followGeoCountries } from '../../../ingest/geo-country.ts';
import { geoDatabase } from '../../support/geo-database.ts';
import { eventually } from '../../support/wait.ts';

let directory = '';
let path = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'geo-'));
  path = join(directory, 'country.mmdb');
});
afterEach(() => rmSync(directory, { recursive: true }));

const log = pino({ level: 'silent' });
const countries = {
  '203.0.113.0/24': 'KR',
  '198.51.100.128/25': 'DE',
  '2001:db8:1::/48': 'BR',
  '192.0.2.0/24': 'UK',
  '192.0.3.0/24': 'QQ',
};

it.each([
  ['203.0.113.7', 'KR'],
  ['::ffff:203.0.113.7', 'KR'],
  ['203.0.114.7', 'ZZ'],
  ['198.51.100.200', 'DE'],
  ['198.51.100.100', 'ZZ'],
  ['2001:db8:1:2::3', 'BR'],
  ['2001:DB8:2::', 'ZZ'],
  ['192.0.2.1', 'GB'],
  ['192.0.3.1', 'ZZ'],
])('of %s is %s', async (ip, country) => {
  writeFileSync(path, geoDatabase(countries));
  await using geo = await followGeoCountries(path, log);
  expect(geo.countryOfAddress(ip)).toBe(country);
});

it('is that of the database that was put in the place of the first, without a restart', async () => {
  writeFileSync(path, geoDatabase({ '203.0.113.0/24': 'KR' }));
  await using geo = await followGeoCountries(path, log, 5);
  expect(geo.countryOfAddress('203.0.113.7')).toBe('KR');
  writeFileSync(`${path}.new`, geoDatabase({ '203.0.113.0/24': 'JP' }));
  renameSync(`${path}.new`, path);
  await eventually('the new database', async () => geo.countryOfAddress('203.0.113.7') === 'JP');
});

it('ends the start when the file is something else', async () => {
  writeFileSync(path, 'no database');
  await expect(followGeoCountries(path, log)).rejects.toThrow(
    'INGEST_GEO_FILE: is no database in the format of MaxMind',
  );
});

it('of an address in a part of the database that is damaged is unknown, which is told once, and clicks go on', async () => {
  const whole = geoDatabase({ '203.0.113.0/24': 'KR', '198.51.100.0/24': 'DE' });
  const damaged = Buffer.from(whole);
  // A type of data that the format does not have.
  damaged.fill(0x00, damaged.indexOf('KR') - 1 - 'Xiso_code'.length, damaged.indexOf('KR') + 2);
  writeFileSync(path, damaged);
  let logged = '';
  await using geo = await followGeoCountries(path, pino({}, { write: line => (logged += line) }));
  for (let i = 0; i < 3; i++) expect(geo.countryOfAddress('203.0.113.7')).toBe('ZZ');
  expect(geo.countryOfAddress('198.51.100.7')).toBe('DE');
  expect(logged.split('a part of the geo database is damaged').length - 1).toBe(1);
  expect(logged).toContain(path);
});

it('is one of ours or unknown wherever a byte of the database is wrong, and no lookup fails or lasts', async () => {
  const whole = geoDatabase({ '203.0.113.0/24': 'KR', '2001:db8:1::/48': 'BR' });
  let opened = 0;
  for (let at = 0; at < whole.length; at += 7) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 0xff;
    writeFileSync(path, damaged);
    const geo = await followGeoCountries(path, log).catch(error => {
      expect(`${error}`).toContain('is no database in the format of MaxMind');
    });
    if (!geo) continue;
    opened++;
    for (const ip of ['203.0.113.7', '2001:db8:1::1', '192.0.2.1'])
      expect(geo.countryOfAddress(ip)).toMatch(/^[A-Z]{2}$/);
    await geo[Symbol.asyncDispose]();
  }
  expect(opened).toBeGreaterThan(20);
});
