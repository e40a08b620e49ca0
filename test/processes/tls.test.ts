/** TLS as operators and clients meet it: programs that start with it or do not, and `adclicks` with an authority of one's own. */
import { readFileSync, rmSync } from 'node:fs';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../infra/config.ts';
import { type Http, listen } from '../../infra/http.ts';
import { TlsConfig } from '../../infra/tls/config.ts';
import { openServerTls } from '../../infra/tls/server-tls.ts';
import { adclicks } from '../support/adclicks.ts';
import { keysInMemory } from '../support/api-keys.ts';
import { certificates } from '../support/certificates.ts';
import { queryApi } from '../support/documents.ts';
import { startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const made = certificates();
const authority = made.make({ name: 'the authority', isAuthority: true });
const own = made.make({ name: 'localhost', by: authority });
const other = made.make({ name: 'another', by: authority });
const files = { TLS_CERT_FILE: own.certFile, TLS_KEY_FILE: own.keyFile };
const keys = keysInMemory();
const admin = keys.add({ scopes: ['admin'], label: 'of the test' });
let http: Http;
let url: string;

beforeAll(async () => {
  const tls = openServerTls(loadConfig(TlsConfig, files), { log: pino({ level: 'silent' }) });
  http = await queryApi({}, { keys, tls });
  url = await listen(http, '127.0.0.1', 0);
});
afterAll(async () => {
  await http?.close();
  rmSync(made.folder, { recursive: true });
});

describe('adclicks', () => {
  const list = (env: Record<string, string>) =>
    adclicks({ ADCLICKS_QUERY_API_URL: url, ADCLICKS_API_KEY: admin, ...env }, 'keys', 'list');

  it('asks over TLS with the authority of NODE_EXTRA_CA_CERTS', async () => {
    expect(url).toMatch(/^https:/);
    const { code, stdout } = await list({ NODE_EXTRA_CA_CERTS: authority.certFile });
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('of the test') });
  });

  it('asks nobody whose certificate it cannot check, and says why', async () => {
    const { code, stderr } = await list({});
    expect(code).toBe(1);
    expect(stderr).toContain('NODE_EXTRA_CA_CERTS must name the file of that authority');
    expect(stderr).not.toContain(admin.slice(26));
  });
});

describe.each([
  ['ingest/main.ts', 'INGEST_PORT'],
  ['query-api/main.ts', 'QUERY_API_PORT'],
])('%s', (main, portKey) => {
  it.each([
    [{ TLS_CERT_FILE: '/nowhere.pem', TLS_KEY_FILE: own.keyFile }, 'TLS_CERT_FILE=/nowhere.pem: cannot be read'],
    [{ ...files, TLS_KEY_FILE: other.keyFile }, 'is not the key of the certificate in TLS_CERT_FILE'],
    [{ TLS_CLIENT_CA_FILE: authority.certFile }, 'needs TLS_CERT_FILE and TLS_KEY_FILE'],
  ])('does not start with a certificate that it could not use: %j', async (env, why) => {
    const service = await startService(main, portKey, { KAFKA_BROKERS: '127.0.0.1:1', ...env });
    await eventually('it says why', async () => service.logs().includes(why));
    expect(await service.stop()).toBe(78);
    expect(service.logs()).not.toContain(readFileSync(own.keyFile, 'utf8').split('\n')[1]);
  });
});
