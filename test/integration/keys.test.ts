/**
 * API keys on a real broker and a real ClickHouse: ingest and query API behind keys, as where they listen beyond loopback.
 * The first key is made at the broker, all others over HTTP.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { parseKeyText } from '../../infra/keys/key-text.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { adclicks } from '../support/adclicks.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createTables, startTestClickHouse, type TestClickHouse } from '../support/clickhouse.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const root = join(import.meta.dirname, '../..');
const ingestMain = ['ingest/main.ts', 'INGEST_PORT'] as const;
const queryMain = ['query-api/main.ts', 'QUERY_API_PORT'] as const;

let broker: TestBroker;
let clickHouse: TestClickHouse;
let env: Record<string, string>;
let ingest: Service;
let queryApi: Service;
let admin: string;
/** Every key text that there was, to look for in what was logged. */
const shown: string[] = [];
const logs: string[] = [];

function atTheBroker(...args: readonly string[]) {
  const program = join(root, 'infra/server/adclicks-server.js');
  const ended = spawnSync(process.execPath, [program, 'keys', ...args], {
    env: { PATH: process.env['PATH'], KAFKA_BROKERS: broker.brokers, LOG_LEVEL: 'info' },
    encoding: 'utf8',
  });
  return { code: ended.status, out: ended.stdout.trim(), said: ended.stderr };
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const statusOf = async (key: string | undefined, path = '/v1/status', service = queryApi) =>
  (await fetch(`${service.url}${path}`, { headers: key === undefined ? {} : bearer(key) })).status;
const post = async (key: string | undefined, adId = 'ad-1', service = ingest) => {
  const headers = { 'content-type': 'application/json', ...(key === undefined ? {} : bearer(key)) };
  const response = await fetch(`${service.url}/v1/clicks`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ ad_id: adId }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const cli = async (key: string | undefined, ...args: readonly string[]) =>
  await adclicks(
    { ADCLICKS_QUERY_API_URL: queryApi.url, ...(key === undefined ? {} : { ADCLICKS_API_KEY: key }) },
    ...args,
  );
const made = async (...args: readonly string[]) => {
  const ended = await cli(admin, 'keys', 'create', '--label', 'a test', ...args);
  expect(ended).toMatchObject({ code: 0 });
  const text = ended.stdout.trim();
  expect(parseKeyText(text)).toBeDefined();
  shown.push(text);
  return text;
};
const idOf = (key: string) => parseKeyText(key)?.keyId ?? '';

beforeAll(async () => {
  broker = await startTestBroker();
  clickHouse = await startTestClickHouse();
  env = { KAFKA_BROKERS: broker.brokers, API_KEYS: 'required', ...clickHouse.env };
  const kafka = createKafka(loadConfig(KafkaConfig, env), 'test', createLog('test', 'error'));
  await ensureTopics(kafka, names(''), 4);
  await createTables(env);
});
afterAll(async () => {
  for (const each of [ingest, queryApi]) await each?.[Symbol.asyncDispose]();
  await clickHouse?.[Symbol.asyncDispose]();
  await broker?.[Symbol.asyncDispose]();
});

describe('beyond loopback', () => {
  it.each([ingestMain, queryMain])('%s does not start while there is no key', async (main, portKey) => {
    const service = await startService(main, portKey, { ...env, API_KEYS: 'auto', HOST: '0.0.0.0' });
    await eventually('it ends', async () => service.logs().includes('adclicks-server keys create --scope admin'));
    expect(await service.stop()).toBe(78);
    logs.push(service.logs());
  });

  it('the first key is made at the broker, and is all that is printed', () => {
    expect(atTheBroker('create').said + atTheBroker('create').out).toContain('--scope is not given');
    expect(atTheBroker('make', '--scope', 'admin').out).toContain('must be create');
    const { code, out, said } = atTheBroker('create', '--scope', 'admin', '--label', 'first');
    expect(code).toBe(0);
    expect(parseKeyText(out)).toBeDefined();
    expect(said).not.toContain(out.slice(26));
    admin = out;
    shown.push(admin);
  });

  it('both start once there is one', async () => {
    const beyond = { ...env, API_KEYS: 'auto', HOST: '0.0.0.0' };
    ingest = await startService(...ingestMain, beyond);
    queryApi = await startService(...queryMain, beyond);
    await ingest.ready();
    await queryApi.ready();
    expect([await statusOf(undefined), await statusOf(admin)]).toEqual([401, 200]);
    expect([(await post(undefined)).status, (await post(admin)).status]).toEqual([401, 202]);
  });
});

describe('a key', () => {
  it('is known in ingest after it was made over HTTP, is limited to its ads, and is not known any more after it was revoked', async () => {
    const key = await made('--scope', 'ingest', '--ad-id-prefix', 'shop-');
    await eventually('ingest knows it', async () => (await post(key, 'shop-1')).status === 202);
    const { status, body } = await post(key, 'other-1');
    expect(status).toBe(400);
    expect(JSON.stringify(body['rejected'])).toContain('must begin with \\"shop-\\"');
    expect(await statusOf(key)).toBe(403);
    expect(await cli(admin, 'keys', 'revoke', idOf(key))).toMatchObject({ code: 0 });
    expect(await statusOf(key)).toBe(401);
    await eventually('ingest does not take it any more', async () => (await post(key, 'shop-1')).status === 401);
  });

  it('goes on with both secrets while it is rotated, and with the new one alone after', async () => {
    const key = await made('--scope', 'ingest');
    await eventually('ingest knows it', async () => (await post(key)).status === 202);
    const rotated = await cli(admin, 'keys', 'rotate', idOf(key), '--overlap', '3600');
    const second = rotated.stdout.trim();
    shown.push(second);
    expect(idOf(second)).toBe(idOf(key));
    await eventually('ingest knows the new secret', async () => (await post(second)).status === 202);
    expect((await post(key)).status).toBe(202);
    const third = (await cli(admin, 'keys', 'rotate', idOf(key), '--overlap', '0')).stdout.trim();
    shown.push(third);
    await eventually('only the newest', async () => (await post(third)).status === 202);
    expect([(await post(key)).status, (await post(second)).status]).toEqual([401, 401]);
  });

  it('signs a browser in at every query API and at no ingest, and out of all when it is revoked', async () => {
    await using other = await startService(...queryMain, env);
    await other.ready();
    const key = await made('--scope', 'read', 'ingest');
    const signedIn = await fetch(`${queryApi.url}/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: queryApi.url },
      body: JSON.stringify({ api_key: key }),
    });
    expect(signedIn.status).toBe(200);
    const [cookie = ''] = (signedIn.headers.get('set-cookie') ?? '').split(';');
    const statusBy = async (service: Service, path = '/v1/replays', init: RequestInit = {}) =>
      (await fetch(`${service.url}${path}`, { ...init, headers: { cookie, 'content-type': 'application/json' } }))
        .status;
    await eventually('the other knows the key', async () => (await statusBy(other)) === 200);
    expect(await statusBy(queryApi)).toBe(200);
    const click = { method: 'POST', body: JSON.stringify({ ad_id: 'ad-1' }) };
    expect(await statusBy(ingest, '/v1/clicks', click)).toBe(401);
    expect(await cli(admin, 'keys', 'revoke', idOf(key))).toMatchObject({ code: 0 });
    expect(await statusBy(queryApi)).toBe(401);
    await eventually('the other has signed it out', async () => (await statusBy(other)) === 401);
    logs.push(other.logs());
  });

  it('is listed without its secret, by who has one with scope admin', async () => {
    const { code, stdout } = await cli(admin, 'keys', 'list', '--json');
    expect(code).toBe(0);
    const { keys } = JSON.parse(stdout) as { keys: { id: string; changes: { by: string; from: string | null }[] }[] };
    expect(keys.at(-1)).toMatchObject({
      id: idOf(admin),
      changes: [{ change: 'created', by: 'operator at the broker', from: null }],
    });
    expect(keys[0]?.changes[0]).toMatchObject({ by: idOf(admin), from: '127.0.0.1' });
    for (const key of shown) expect(stdout).not.toContain(key.slice(26));
    const none = await cli(undefined, 'keys', 'list');
    expect({ code: none.code, said: none.stderr }).toEqual({
      code: 1,
      said: expect.stringContaining('needs an API key'),
    });
    const wrong = await cli('adclicks_nonsense', 'keys', 'list');
    expect(wrong.stderr).toContain('ADCLICKS_API_KEY: must be an API key');
    expect(wrong.stderr).not.toContain('nonsense');
  });

  it('lives through a restart of everything, and so does its revocation', async () => {
    const [kept, revoked] = [await made('--scope', 'read'), await made('--scope', 'read')];
    await cli(admin, 'keys', 'revoke', idOf(revoked));
    for (const each of [queryApi, ingest]) {
      logs.push(each.logs());
      await each.kill();
    }
    ingest = await startService(...ingestMain, env);
    queryApi = await startService(...queryMain, env);
    await ingest.ready();
    await queryApi.ready();
    expect([await statusOf(kept), await statusOf(revoked), await statusOf(admin)]).toEqual([200, 401, 200]);
    expect([(await post(admin)).status, (await post(kept)).status]).toEqual([202, 403]);
  });
});

describe('what several query APIs are asked for at once', () => {
  const send = async (service: Service, path: string, body: object) => {
    const headers = { 'content-type': 'application/json', ...bearer(admin) };
    const answer = await fetch(`${service.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: answer.status, body: (await answer.json()) as Record<string, string> };
  };

  it('is one key for each ad, and one rotation for each secret, whose overlap holds', async () => {
    await using other = await startService(...queryMain, env);
    await other.ready();
    await eventually('the other knows the keys', async () => (await statusOf(admin, '/v1/status', other)) === 200);
    const apis = [queryApi, other, queryApi, other];
    for (let round = 0; round < 6; round++) {
      const prefixes = [`race${round}-`, `race${round}-`, `race${round}-sub`, `race${round}`];
      const answers = await Promise.all(
        prefixes.map((prefix, i) => {
          const tenant = { id: `r${round}t${i}`, ad_id_prefixes: [prefix] };
          return send(apis[i] ?? queryApi, '/v1/keys', { label: `race ${round}`, scopes: ['ingest', 'read'], tenant });
        }),
      );
      const made = answers.filter(({ status }) => status === 200);
      for (const { body } of answers) if (body['api_key'] !== undefined) shown.push(body['api_key']);
      expect(answers.map(({ status }) => status).filter(status => ![200, 400, 409].includes(status))).toEqual([]);
      expect(made).toHaveLength(1);
      const text = made[0]?.body['api_key'] ?? '';
      await eventually('both know it', async () => {
        const known = [queryApi, other].map(service => statusOf(text, '/v1/ads', service));
        return (await Promise.all(known)).every(status => status === 200);
      });
      for (const service of [queryApi, other]) {
        const listed = await fetch(`${service.url}/v1/keys?limit=200`, { headers: bearer(admin) });
        const { keys } = (await listed.json()) as { keys: { id: string; label: string }[] };
        expect(keys.filter(({ label }) => label === `race ${round}`).map(({ id }) => id)).toEqual([idOf(text)]);
      }
      const rotations = await Promise.all(
        apis.map(service => send(service, `/v1/keys/${idOf(text)}/rotate`, { overlap_s: 600 })),
      );
      const rotated = rotations.filter(({ status }) => status === 200).map(({ body }) => body['api_key'] ?? '');
      shown.push(...rotated);
      expect(rotations.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409]);
      await eventually('both know the new secret', async () => {
        const known = [queryApi, other].map(service => statusOf(rotated[0], '/v1/ads', service));
        return (await Promise.all(known)).every(status => status === 200);
      });
      for (const service of [queryApi, other]) expect(await statusOf(text, '/v1/ads', service)).toBe(200);
    }
    logs.push(other.logs());
  });
});

describe('a key that is made at the broker', () => {
  const acme = [
    'create',
    '--scope',
    'ingest',
    'read',
    '--label',
    'acme',
    '--tenant',
    'acme',
    '--ad-id-prefix',
    'acme-',
  ];

  it('may be for a tenant, with quotas of its own, in one region: elsewhere it is refused, and its click is not taken', async () => {
    const { code, out } = atTheBroker(...acme, 'ac.', '--quota', 'exports=1', 'open_jobs=2', '--region', 'eu');
    expect({ code, id: idOf(out) }).toEqual({ code: 0, id: expect.stringMatching(/./) });
    shown.push(out);
    const listed = async () => {
      const { keys } = JSON.parse((await cli(admin, 'keys', 'list', '--json')).stdout) as { keys: { id: string }[] };
      return keys.find(({ id }) => id === idOf(out));
    };
    await eventually('the query API knows it', async () => (await listed()) !== undefined);
    expect(await listed()).toMatchObject({
      ...{ tenant: { id: 'acme', ad_id_prefixes: ['acme-', 'ac.'] }, region: 'eu' },
      quotas: { exports: 1, open_jobs: 2 },
    });
    await using inEu = await startService(...ingestMain, { ...env, REGION: 'eu' });
    await using inUs = await startService(...ingestMain, {
      ...{ ...env, REGION: 'us', REGION_URLS: `eu=${inEu.url}` },
    });
    await inEu.ready();
    await inUs.ready();
    for (const service of [inUs, ingest]) expect((await post(out, 'acme-1', service)).status).toBe(403);
    expect((await post(out, 'acme-1', inUs)).body).toMatchObject({
      ...{ code: 'wrong_region', region: 'eu', url: inEu.url },
    });
    expect((await post(out, 'acme-1', inEu)).status).toBe(202);
    expect(await statusOf(out, '/v1/ads')).toBe(403);
    logs.push(inEu.logs(), inUs.logs());
    expect(inUs.logs()).not.toContain('acme');
  });

  it('is not made with ads of another tenant, nor with what breaks another rule', () => {
    const other = ['create', '--scope', 'read', '--tenant', 'other', '--ad-id-prefix'];
    for (const [args, said] of [
      [[...other, 'acme-shoes-'], '--ad-id-prefix is \\"acme-shoes-\\", but must have no ads in common with acme-'],
      [['create', '--scope', 'read', '--tenant', 'other'], '--tenant other: needs --ad-id-prefix'],
      [
        ['create', '--scope', 'admin', '--tenant', 'other', '--ad-id-prefix', 'o-'],
        '--tenant is \\"other\\", but may stand',
      ],
      [['create', '--scope', 'read', '--region', 'EU'], '--region is \\"EU\\", but must be 1 to 32 of a-z 0-9 -'],
      [['create', '--scope', 'read', '--quota', 'clicks=1'], 'clicks is 1, but must not be given'],
    ] as const) {
      const ended = atTheBroker(...args);
      expect(ended.code).toBe(78);
      expect(ended.out + ended.said).toContain(said);
      expect(ended.out).not.toContain('adclicks_');
    }
  });
});

describe('while Kafka is away', () => {
  it('a process that has read the keys goes on with them, and one that has not lets nobody in', async () => {
    await broker.stop();
    expect([await statusOf(admin, '/v1/replays'), await statusOf(undefined, '/v1/replays')]).toEqual([200, 401]);
    await using late = await startService(...queryMain, env);
    await eventually('it listens', async () => (await statusOf(undefined, '/healthz', late).catch(() => 0)) === 200);
    for (const key of [undefined, admin, 'adclicks_x']) expect(await statusOf(key, '/v1/replays', late)).toBe(503);
    expect(await statusOf(undefined, '/readyz', late)).toBe(503);
    await broker.restart();
    await eventually('it has read the keys', async () => (await statusOf(admin, '/v1/replays', late)) === 200);
    expect(await statusOf(undefined, '/v1/replays', late)).toBe(401);
    logs.push(late.logs());
  });

  it('what is changed after it is back is known to those who were there before', async () => {
    const key = await made('--scope', 'read');
    await cli(admin, 'keys', 'revoke', idOf(key));
    expect(await statusOf(key)).toBe(401);
    const other = await made('--scope', 'ingest');
    await eventually('ingest knows it', async () => (await post(other)).status === 202);
  });
});

it('no key is in what was logged, in a metric or in the document', async () => {
  logs.push(ingest.logs(), queryApi.logs());
  for (const service of [ingest, queryApi])
    for (const path of ['/metrics', '/openapi.json', '/readyz'])
      logs.push(await (await fetch(`${service.url}${path}`)).text());
  expect(shown.length).toBeGreaterThan(5);
  for (const key of shown) {
    const secret = key.slice(26, 69);
    expect(logs.filter(text => text.includes(secret))).toEqual([]);
  }
});
