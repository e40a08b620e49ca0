/** What the audit log says of visitors whose pages a public key is not for: as much of their address as a click says. */
import { createSecretKey } from 'node:crypto';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../infra/config.ts';
import type { Http } from '../../../../infra/http.ts';
import { buildIngestApp } from '../../../../ingest/app.ts';
import { IngestConfig } from '../../../../ingest/config.ts';
import { createPersonalData, hashedIp, type PersonalDataRules } from '../../../../ingest/privacy/personal-data.ts';
import { bearer, keysInMemory } from '../../../support/api-keys.ts';
import { auditInMemory } from '../../../support/audit-in-memory.ts';

const now = Date.parse('2026-03-01T12:00:30Z');
const address = '198.51.100.77';
const key = createSecretKey(Buffer.alloc(32, 7));
const text = { 'content-type': 'text/plain' };
const json = { 'content-type': 'application/json' };
let http: Http | undefined;

afterEach(async () => {
  await http?.close();
});

/** Returns what is recorded of requests from `remoteAddress`: of a page of another site, and with a secret key. */
async function refusedFrom(remoteAddress: string, ip: PersonalDataRules['ip']) {
  const keys = keysInMemory();
  const inPage = keys.add({ scopes: ['ingest:public'], adIdPrefix: 'ad-', origins: ['https://shop.example'] }, now);
  const reader = keys.add({ scopes: ['read'] }, now);
  const audit = auditInMemory();
  http = await buildIngestApp({
    config: loadConfig(IngestConfig, {}),
    clickLog: { append: async () => undefined, refusal: () => undefined },
    ...{ keys, audit: audit.trail, log: pino({ level: 'silent' }), now: () => now },
    kept: { personal: createPersonalData({ ip, userId: 'plain', salt: 'daily', key }) },
    kafkaReady: () => Promise.resolve(),
    rulesKnown: () => undefined,
  });
  const asked = [
    { method: 'POST', url: `/b?k=${inPage}`, headers: { ...text, origin: 'https://evil.example' }, payload: '{}' },
    { method: 'GET', url: `/p/ad-1.gif?k=${inPage}`, headers: { referer: 'https://evil.example/' } },
    { method: 'POST', url: `/b?k=${reader}`, headers: { ...text, origin: 'https://evil.example' }, payload: '{}' },
    { method: 'POST', url: '/v1/clicks', headers: { ...json, ...bearer(reader) }, payload: '{}' },
  ] as const;
  for (const request of asked)
    expect((await http.inject({ ...request, remoteAddress })).statusCode, request.url).toBe(403);
  const of = (action: string) => audit.written.filter(entry => entry.action === action).map(entry => entry.address);
  return {
    beacons: of('POST /b'),
    pixels: of('GET /p/:ad_id.gif'),
    clicks: of('POST /v1/clicks'),
    whole: audit.text(),
  };
}

describe('the address of a visitor whose page is refused', () => {
  it.each<[PersonalDataRules['ip'], string]>([
    ['full', address],
    ['truncated', '198.51.100.0'],
    ['hashed', hashedIp(key, address, '2026-03-01')],
    ['none', ''],
  ])('stands in the audit log as INGEST_IP says: %s', async (ip, recorded) => {
    const { beacons, pixels, clicks, whole } = await refusedFrom(address, ip);
    expect({ beacons: new Set(beacons), pixels }).toEqual({ beacons: new Set([recorded]), pixels: [recorded] });
    // That is a server of who owns the key, and no visitor.
    expect(clicks).toEqual([address]);
    const said = whole.split(address).length - 1;
    expect(said).toBe(ip === 'full' ? beacons.length + pixels.length + 1 : 1);
  });

  it('is the /48 of IPv6 where it is truncated, and nothing where the address is not known', async () => {
    expect((await refusedFrom('2001:db8:5:6:7::8', 'truncated')).pixels).toEqual(['2001:db8:5::']);
    await http?.close();
    expect((await refusedFrom('127.0.0.1', 'truncated')).pixels).toEqual(['']);
  });
});
