/** The audit log on a real broker and a real ClickHouse: from the request into Kafka, by the sink into its table, and back. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { adclicks } from '../support/adclicks.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createTables, startTestClickHouse, type TestClickHouse } from '../support/clickhouse.ts';
import { signInAtProvider, startIdentityProvider } from '../support/identity-provider.ts';
import { quietPort } from '../support/quiet-port.ts';
import { planted, type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

interface Entry {
  readonly kind: string;
  readonly by: string;
  readonly subject: string | null;
  readonly from: string | null;
  readonly action: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly requests: number;
  readonly status: number | null;
}

const root = join(import.meta.dirname, '../..');
const personOfFilter = 'user-4711';
let broker: TestBroker;
let clickHouse: TestClickHouse;
let queryApi: Service;
let ingest: Service;
let sink: Service;
let admin: string;

function atTheBroker(...args: readonly string[]) {
  const ended = spawnSync(process.execPath, [...planted, join(root, 'infra/server/main.ts'), ...args], {
    env: { PATH: process.env['PATH'], MUTATION: process.env['MUTATION'], KAFKA_BROKERS: broker.brokers },
    encoding: 'utf8',
  });
  expect({ code: ended.status, said: ended.stderr }).toMatchObject({ code: 0 });
  return ended.stdout.trim();
}

async function ask(method: string, path: string, { key = admin, body }: { key?: string; body?: object } = {}) {
  const headers = { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) };
  const response = await fetch(`${queryApi.url}${path}`, {
    method,
    headers,
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

const entriesOf = async (query = '') =>
  (JSON.parse((await ask('GET', `/v1/audit?limit=1000${query}`)).text) as { entries: Entry[] }).entries;
const cli = async (...args: readonly string[]) =>
  await adclicks({ ADCLICKS_QUERY_API_URL: queryApi.url, ADCLICKS_API_KEY: admin }, ...args);
const idOf = (key: string) => key.slice(9, 25);

beforeAll(async () => {
  broker = await startTestBroker();
  clickHouse = await startTestClickHouse();
  const env = { KAFKA_BROKERS: broker.brokers, API_KEYS: 'required', ...clickHouse.env };
  const kafka = createKafka(loadConfig(KafkaConfig, env), 'test', createLog('test', 'error'));
  await ensureTopics(kafka, names(''), 4);
  await createTables(env);
  admin = atTheBroker('keys', 'create', '--scope', 'admin', '--label', 'first');
  atTheBroker('write-off', '--partition', '1', '--missing', '3', '--note', 'disk of 12 May');
  queryApi = await startService('query-api/main.ts', 'QUERY_API_PORT', env);
  ingest = await startService('ingest/main.ts', 'INGEST_PORT', env);
  sink = await startService('aggregator/sink/main.ts', 'SINK_PORT', env);
  await queryApi.ready();
  await ingest.ready();
  await sink.ready();
});
afterAll(async () => {
  for (const each of [queryApi, ingest, sink, clickHouse, broker]) await each?.[Symbol.asyncDispose]();
});

describe('what was done', () => {
  it('is in the log with who, what, from where and how it ended, also when it was done at the broker', async () => {
    const body = { user_ids: { out: [personOfFilter] } };
    expect((await ask('PUT', '/v1/filters/no-bots', { body })).status).toBe(200);
    const key = JSON.parse((await ask('POST', '/v1/keys', { body: { label: 'reader', scopes: ['read'] } })).text);
    expect((await ask('DELETE', '/v1/filters/no-bots', { key: key.api_key })).status).toBe(403);
    const posted = { method: 'POST', headers: { authorization: `Bearer ${key.api_key}` } };
    expect((await fetch(`${ingest.url}/v1/clicks`, posted)).status).toBe(403);
    // The first question for the log is in it a moment later, as everything else is.
    const entries = await eventually('all of it is there', async () => {
      const all = await entriesOf();
      const hasRead = all.some(({ action }) => action === 'GET /v1/audit');
      return hasRead && all.filter(({ kind }) => kind === 'refused').length === 2 && all;
    });
    const who = { by: idOf(admin), name: 'first', from: '127.0.0.1' };
    const masked = { id: 'no-bots', user_ids: '***' };
    expect(entries.filter(({ kind }) => kind === 'act')).toMatchObject([
      { ...who, action: 'POST /v1/keys', parameters: { label: 'reader', scopes: 'read' }, status: 200 },
      { ...who, action: 'PUT /v1/filters/:id', parameters: masked, status: 200 },
      { by: 'operator at the broker', from: null, action: 'adclicks-server write-off', status: null },
      { by: 'operator at the broker', from: null, action: 'adclicks-server keys create', status: null },
    ]);
    expect(entries.filter(({ kind }) => kind === 'refused')).toMatchObject([
      { by: key.id, action: 'POST /v1/clicks' },
      { by: key.id, action: 'DELETE /v1/filters/:id' },
    ]);
    expect(JSON.stringify(entries)).not.toContain(personOfFilter);
    expect(JSON.stringify(entries)).not.toContain(key.api_key.slice(26));
  });

  it('is found by key, action, kind and time, and page by page', async () => {
    expect(await entriesOf(`&key=${idOf(admin)}&action=PUT%20%2Fv1%2Ffilters%2F%3Aid`)).toHaveLength(1);
    expect(await entriesOf('&key=nobody')).toEqual([]);
    const [first] = (await entriesOf('&kind=act')) as (Entry & { at: string })[];
    expect((await entriesOf(`&kind=act&from=${first?.at}`)).length).toBe(1);
    expect((await entriesOf(`&kind=act&to=${first?.at}`)).length).toBe(3);
    const pages: string[] = [];
    let cursor = '';
    do {
      const page = JSON.parse((await ask('GET', `/v1/audit?kind=act&limit=1${cursor}`)).text);
      pages.push(...page.entries.map(({ action }: Entry) => action));
      cursor = page.next_cursor === null ? '' : `&cursor=${page.next_cursor}`;
    } while (cursor !== '');
    expect(pages).toEqual((await entriesOf('&kind=act')).map(({ action }) => action));
    expect((await ask('GET', '/v1/audit?from=yesterday')).status).toBe(400);
    const { next_cursor } = JSON.parse((await ask('GET', '/v1/audit?kind=act&limit=1')).text);
    const [list, asked, [, id]] = JSON.parse(Buffer.from(next_cursor, 'base64url').toString());
    for (const at of [2 ** 53, 1e300]) {
      const invented = Buffer.from(JSON.stringify([list, asked, [at, id]])).toString('base64url');
      expect((await ask('GET', `/v1/audit?kind=act&limit=1&cursor=${invented}`)).status).toBe(400);
    }
  });

  it('is shown and exported by adclicks, whole, however many pages that takes', async () => {
    const shown = await cli('audit', '--kind', 'act');
    expect(shown).toMatchObject({ code: 0 });
    expect(shown.stdout).toMatch(/^at +by +name +subject +from +action/);
    expect(shown.stdout).toContain('adclicks-server write-off');
    expect(shown.stdout).toContain('note=disk of 12 May');
    const [head, ...rows] = (await cli('audit', '--export', 'csv', '--kind', 'act')).stdout.trim().split('\n');
    expect(head).toBe('at,until,kind,by,name,subject,from,action,parameters,requests,status,id');
    expect(rows).toHaveLength(4);
    const lines = (await cli('audit', '--export', 'ndjson', '--kind', 'act')).stdout.trim().split('\n');
    expect(lines.map(line => (JSON.parse(line) as Entry).action)).toEqual(
      (await entriesOf('&kind=act')).map(({ action }) => action),
    );
  });

  it('says of repeated reads how many they were, once the process has ended', async () => {
    for (let i = 0; i < 25; i++) expect((await ask('GET', '/v1/quarantine?reason=future')).status).toBe(200);
    const of = async () =>
      (await entriesOf('&action=GET%20%2Fv1%2Fquarantine')).map(({ requests, status }) => [requests, status]);
    await eventually('it is there', async () => (await of()).length === 1);
    expect(await of()).toEqual([[1, null]]);
    expect(await queryApi.stop()).toBe(0);
    const env = { KAFKA_BROKERS: broker.brokers, API_KEYS: 'required', ...clickHouse.env };
    queryApi = await startService('query-api/main.ts', 'QUERY_API_PORT', env);
    await queryApi.ready();
    await eventually('it is complete', async () => (await of())[0]?.[0] === 25);
    expect(await of()).toEqual([[25, 200]]);
  });

  it('names the person whom an identity provider has signed in, for as long as the key of the group is in force', async () => {
    const port = await quietPort();
    const publicUrl = `http://127.0.0.1:${port}`;
    await using provider = await startIdentityProvider(publicUrl, { ann: { groups: ['operators'] } });
    const wanted = { label: 'role: operators', scopes: ['admin'] };
    const role = JSON.parse((await ask('POST', '/v1/keys', { body: wanted })).text) as { id: string };
    await using service = await startService('query-api/main.ts', 'QUERY_API_PORT', {
      ...{ KAFKA_BROKERS: broker.brokers, API_KEYS: 'required', ...clickHouse.env, QUERY_API_PORT: `${port}` },
      ...provider.settingsFor(`operators=${role.id}`),
    });
    await service.ready();
    const begun = await fetch(`${publicUrl}/v1/session/oidc`, { redirect: 'manual' });
    const back = await signInAtProvider(begun.headers.get('location') ?? '', 'ann');
    const cookieOf = (response: Response, name: string) =>
      response.headers
        .getSetCookie()
        .find(text => text.startsWith(`${name}=`))
        ?.split(';')[0] ?? '';
    const headers = { cookie: cookieOf(begun, 'adclicks_sign_in') };
    const signedIn = await fetch(back, { redirect: 'manual', headers });
    const cookie = cookieOf(signedIn, 'adclicks_session');
    const status = async () => (await fetch(`${publicUrl}/v1/keys`, { headers: { cookie } })).status;
    expect(await status()).toBe(200);
    await eventually('both are there', async () => (await entriesOf('&subject=ann')).length === 2);
    expect(await entriesOf('&subject=ann')).toMatchObject([
      { kind: 'read', by: role.id, subject: 'ann', action: 'GET /v1/keys' },
      { kind: 'sign-in', by: role.id, subject: 'ann', action: 'GET /v1/session/oidc/callback' },
    ]);
    expect(await entriesOf('&subject=bob')).toEqual([]);
    const shown = (await cli('audit', '--subject', 'ann', '--json')).stdout;
    expect((JSON.parse(shown) as { entries: Entry[] }).entries.map(({ subject }) => subject)).toEqual(['ann', 'ann']);
    // By another process, of which this one learns through the log.
    expect((await ask('DELETE', `/v1/keys/${role.id}`)).status).toBe(200);
    await eventually('the session is over', async () => (await status()) === 401);
    expect(service.logs()).not.toMatch(/ann@|client_secret/);
  });
});

describe('while Kafka is away', () => {
  it('nothing is done that would not be recorded, and counts are read as before', async () => {
    await broker.stop();
    const refused = await ask('POST', '/v1/keys', { body: { label: 'unrecorded', scopes: ['read'] } });
    expect([refused.status, refused.text]).toEqual([503, expect.stringContaining('"code":"unrecorded"')]);
    expect((await ask('GET', '/v1/quarantine')).status).toBe(503);
    expect((await ask('GET', '/v1/replays')).status).toBe(200);
    expect(await (await fetch(`${queryApi.url}/metrics`)).text()).toMatch(
      /audit_failures_total\{when="before"\} [1-9]/,
    );
    await broker.restart();
    await eventually('it is read again', async () => (await ask('GET', '/v1/quarantine')).status === 200);
    const { keys } = JSON.parse((await ask('GET', '/v1/keys')).text) as { keys: { label: string }[] };
    expect(keys.map(({ label }) => label)).toEqual(['role: operators', 'reader', 'first']);
  });
});
