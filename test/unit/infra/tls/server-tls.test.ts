/** TLS over real sockets: who is let in, how a certificate is replaced, and what is refused. */
import { chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { Agent, request } from 'node:https';
import { connect, type SecureVersion, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { loadConfig, ProcessConfig } from '../../../../infra/config.ts';
import { createHttp, type Http, listen } from '../../../../infra/http.ts';
import { closeHttp } from '../../../../infra/http-drain.ts';
import { registry } from '../../../../infra/metrics.ts';
import { TlsConfig } from '../../../../infra/tls/config.ts';
import { openServerTls } from '../../../../infra/tls/server-tls.ts';
import { certificates, type Made } from '../../../support/certificates.ts';
import { eventually } from '../../../support/wait.ts';

const made = certificates();
afterAll(() => rmSync(made.folder, { recursive: true }));
const authority = made.make({ name: 'the authority', isAuthority: true });
const first = made.make({ name: 'first', by: authority });
const second = made.make({ name: 'second', by: authority });
const ca = readFileSync(authority.certFile, 'utf8');

/** Files of their own, which a test may replace. */
function files({ certFile, keyFile }: Made = first) {
  const own = { TLS_CERT_FILE: `${made.folder}/own.pem`, TLS_KEY_FILE: `${made.folder}/own-key.pem` };
  copyFileSync(certFile, own.TLS_CERT_FILE);
  copyFileSync(keyFile, own.TLS_KEY_FILE);
  chmodSync(own.TLS_KEY_FILE, 0o600);
  return own;
}

const opened: { destroy(): void }[] = [];
let http: Http | undefined;
afterEach(async () => {
  for (const each of opened.splice(0)) each.destroy();
  if (http) await closeHttp(http);
  http = undefined;
});

async function start(env: Record<string, string>, limits: Record<string, string> = {}, servesPages = false) {
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: line => void lines.push(line) });
  const tls = openServerTls(loadConfig(TlsConfig, env), { log, everyMs: 20 });
  http = await createHttp({
    ...{ title: 'test', description: '', log: pino({ level: 'silent' }), bodyLimitBytes: 1_024, tls },
    ...{ config: loadConfig(ProcessConfig, limits), servesPages, readiness: {} },
  });
  http.get('/hello', { config: { scope: 'open' } }, () => ({ hello: true }));
  const url = new URL(await listen(http, '127.0.0.1', 0));
  return { url, port: Number(url.port), lines };
}

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly name: string;
}

/** `client` is its certificate. Rejects where there is no connection. */
async function ask(port: number, client?: Made, agent?: Agent): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const own = client && { cert: readFileSync(client.certFile), key: readFileSync(client.keyFile) };
  const options = { host: '127.0.0.1', port, path: '/hello', ca, ...own, agent: agent ?? new Agent() };
  request(options, response => {
    const name = (response.socket as TLSSocket).getPeerCertificate().subject.CN;
    response.resume().on('end', () => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, name: String(name) });
    });
  })
    .on('error', reject)
    .end();
  return await promise;
}

async function handshake(port: number, options: object): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const socket = connect({ host: '127.0.0.1', port, ca, ...options }, () => resolve(socket)).on('error', reject);
  opened.push(socket);
  return await promise;
}

async function metric(name: string): Promise<number> {
  const line = (await registry.metrics()).split('\n').find(each => each.startsWith(`adclicks_${name} `));
  return Number(line?.split(' ')[1]);
}

describe('a server with a certificate', () => {
  it('speaks HTTP/1.1 over TLS, tells browsers to come back so, and says when the certificate expires', async () => {
    const { port, url } = await start(files());
    expect(url.protocol).toBe('https:');
    const { status, headers, name } = await ask(port);
    expect([status, name]).toEqual([200, 'first']);
    expect(headers['strict-transport-security']).toBe('max-age=31536000');
    expect((await handshake(port, { ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol).toBe('http/1.1');
    const inDays = ((await metric('tls_certificate_expires_timestamp_seconds')) - Date.now() / 1_000) / 86_400;
    expect(inDays).toBeGreaterThan(9);
    expect(inDays).toBeLessThan(10.1);
  });

  it('answers nobody without TLS', async () => {
    const { port } = await start(files());
    const { promise, resolve } = Promise.withResolvers<unknown>();
    get({ host: '127.0.0.1', port, path: '/hello' }, resolve).on('error', resolve);
    expect(await promise).toBeInstanceOf(Error);
  });

  it.each([
    ['1.2', 'TLSv1.1', 'TLSv1.2'],
    ['1.3', 'TLSv1.2', 'TLSv1.3'],
  ] as const)('of version %s does not speak %s, but %s', async (TLS_MIN_VERSION, older, spoken) => {
    const { port } = await start({ ...files(), TLS_MIN_VERSION });
    const only = (version: SecureVersion) => ({ minVersion: version, maxVersion: version, ciphers: 'ALL:@SECLEVEL=0' });
    await expect(handshake(port, only(older))).rejects.toThrow();
    expect((await handshake(port, only(spoken))).getProtocol()).toBe(spoken);
  });

  it('has no suite without forward secrecy and authenticated encryption', async () => {
    const { port } = await start(files());
    const of12 = { maxVersion: 'TLSv1.2' };
    await expect(
      handshake(port, { ...of12, ciphers: 'ECDHE-ECDSA-AES128-SHA256:AES128-GCM-SHA256' }),
    ).rejects.toThrow();
    const strong = await handshake(port, { ...of12, ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' });
    expect(strong.getCipher().name).toBe('ECDHE-ECDSA-AES256-GCM-SHA384');
  });

  it('counts its connections, and gives back the room of one that ends', async () => {
    const { port } = await start(files(), { MAX_CONNECTIONS_PER_CLIENT: '1' });
    const held = await handshake(port, {});
    await expect(ask(port)).rejects.toThrow();
    held.destroy();
    await eventually('there is room again', async () => (await ask(port).catch(() => undefined))?.status === 200);
  });

  it('ends in good order, with connections that are idle', async () => {
    const { port } = await start(files());
    await handshake(port, {});
    await ask(port, undefined, new Agent({ keepAlive: true }));
    await closeHttp(http!);
    http = undefined;
    await expect(ask(port)).rejects.toThrow('ECONNREFUSED');
  });
});

describe('a certificate whose files change', () => {
  it('is taken without a restart, and connections go on that are open', async () => {
    const own = files();
    const { port } = await start(own);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    opened.push(agent);
    expect((await ask(port, undefined, agent)).name).toBe('first');
    copyFileSync(second.certFile, own.TLS_CERT_FILE);
    copyFileSync(second.keyFile, own.TLS_KEY_FILE);
    await eventually('new connections get it', async () => (await ask(port)).name === 'second');
    expect((await ask(port, undefined, agent)).name).toBe('first');
    expect(await metric('tls_certificate_refused')).toBe(0);
  });

  const broken: Readonly<Record<string, [(own: ReturnType<typeof files>) => void, string]>> = {
    'half written': [
      own => writeFileSync(own.TLS_CERT_FILE, readFileSync(second.certFile, 'utf8').slice(0, 200)),
      'has no certificate in PEM',
    ],
    'of another key': [own => copyFileSync(second.certFile, own.TLS_CERT_FILE), 'is not the key of the certificate'],
    'that has expired': [
      own => {
        const old = made.make({ name: 'old', by: authority, from: '20200101000000Z', until: '20200201000000Z' });
        copyFileSync(old.certFile, own.TLS_CERT_FILE);
        copyFileSync(old.keyFile, own.TLS_KEY_FILE);
      },
      'the certificate has expired on 2020-02-01T00:00:00.000Z',
    ],
    'that is gone': [own => rmSync(own.TLS_KEY_FILE), 'cannot be read'],
    'that is no key': [own => writeFileSync(own.TLS_KEY_FILE, 'key'), 'has no private key in PEM'],
  };
  it.each(Object.entries(broken))(
    'is refused %s: the former one stays, and it is said once',
    async (_, [spoil, why]) => {
      const own = files();
      const { port, lines } = await start(own);
      spoil(own);
      await eventually('it is refused', async () => (await metric('tls_certificate_refused')) === 1);
      await new Promise(resolve => setTimeout(resolve, 100));
      expect((await ask(port)).name).toBe('first');
      const said = lines.filter(line => line.includes('REFUSED'));
      expect(said).toEqual([expect.stringContaining(why)]);
      expect(said.join()).not.toContain('BEGIN EC');
      files(second);
      await eventually('the next right one is taken', async () => (await ask(port)).name === 'second');
      expect(await metric('tls_certificate_refused')).toBe(0);
    },
  );

  it('that were wrong for a while and are as before are in use as before', async () => {
    const own = files();
    const { port } = await start(own);
    writeFileSync(own.TLS_CERT_FILE, '');
    await eventually('it is refused', async () => (await metric('tls_certificate_refused')) === 1);
    files();
    await eventually('it is not refused any more', async () => (await metric('tls_certificate_refused')) === 0);
    expect((await ask(port)).name).toBe('first');
  });
});

describe('mTLS', () => {
  const client = made.make({ name: 'a client', by: authority });
  const elsewhere = made.make({ name: 'another authority', isAuthority: true });
  const stranger = made.make({ name: 'a stranger', by: elsewhere });
  const late = made.make({ name: 'late', by: authority, from: '20200101000000Z', until: '20200201000000Z' });

  it.each(['1.2', '1.3'])(
    'lets in who has a certificate of the authority, and nobody else, with TLS %s',
    async version => {
      const { port } = await start({ ...files(), TLS_CLIENT_CA_FILE: authority.certFile, TLS_MIN_VERSION: version });
      expect((await ask(port, client)).status).toBe(200);
      for (const other of [undefined, stranger, late]) await expect(ask(port, other)).rejects.toThrow();
      const refused = (await registry.metrics()).match(/refused_requests_total\{reason="tls_handshake"\} (\d+)/)?.[1];
      expect(Number(refused)).toBeGreaterThanOrEqual(3);
    },
  );

  it('takes other authorities without a restart', async () => {
    const file = `${made.folder}/clients.pem`;
    copyFileSync(authority.certFile, file);
    const { port } = await start({ ...files(), TLS_CLIENT_CA_FILE: file });
    expect((await ask(port, client)).status).toBe(200);
    copyFileSync(elsewhere.certFile, file);
    await eventually(
      'a stranger is let in',
      async () => (await ask(port, stranger).catch(() => undefined))?.status === 200,
    );
    await expect(ask(port, client)).rejects.toThrow();
  });
});

describe('settings of TLS that cannot work', () => {
  const open = (env: Record<string, string>) => () =>
    openServerTls(loadConfig(TlsConfig, env), { log: pino({ level: 'silent' }) });

  it.each([
    [{ TLS_CERT_FILE: '/a' }, 'TLS_CERT_FILE=/a: needs TLS_KEY_FILE'],
    [{ TLS_KEY_FILE: '/a' }, 'TLS_KEY_FILE=/a: needs TLS_CERT_FILE'],
    [{ TLS_CLIENT_CA_FILE: '/a' }, 'TLS_CLIENT_CA_FILE=/a: needs TLS_CERT_FILE and TLS_KEY_FILE'],
    [{ TLS_CERT_FILE: '/nowhere', TLS_KEY_FILE: first.keyFile }, 'TLS_CERT_FILE=/nowhere: cannot be read (ENOENT'],
    [{ TLS_CERT_FILE: first.certFile, TLS_KEY_FILE: second.keyFile }, 'is not the key of the certificate'],
    [{ TLS_CERT_FILE: first.keyFile, TLS_KEY_FILE: first.keyFile }, 'has no certificate in PEM'],
    [{ TLS_CERT_FILE: first.certFile, TLS_KEY_FILE: first.certFile }, 'has no private key in PEM'],
    [
      { TLS_CERT_FILE: first.certFile, TLS_KEY_FILE: first.keyFile, TLS_CLIENT_CA_FILE: first.keyFile },
      'TLS_CLIENT_CA_FILE=',
    ],
    [{ TLS_MIN_VERSION: '1.1' }, 'TLS_MIN_VERSION="1.1": must be 1.2 or 1.3'],
  ])('are refused with what is wrong: %j', (env, why) => {
    expect(open(env as Record<string, string>)).toThrow(why);
  });

  it('are a certificate that is not valid yet, and a key with a passphrase', () => {
    const early = made.make({ name: 'early', from: '20900101000000Z', until: '20910101000000Z' });
    const early_ = { TLS_CERT_FILE: early.certFile, TLS_KEY_FILE: early.keyFile };
    expect(open(early_)).toThrow('is valid only from 2090-01-01T00:00:00.000Z on');
    const locked = `${made.folder}/locked.pem`;
    writeFileSync(locked, '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----\n');
    expect(open({ TLS_CERT_FILE: first.certFile, TLS_KEY_FILE: locked })).toThrow('has a passphrase');
  });

  it('are not a key that everybody may read, of which the log warns', async () => {
    const own = files();
    chmodSync(own.TLS_KEY_FILE, 0o644);
    const { lines } = await start(own);
    expect(lines.filter(line => line.includes('every user of this machine may read'))).toHaveLength(1);
  });
});
