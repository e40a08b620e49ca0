/** Ingest processes that share the quota of a key, on a real broker: together never more, and all of it again after one was killed. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics, openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { openKeyLog } from '../../infra/keys/key-log.ts';
import { createdKey, limitedKey } from '../../infra/keys/new-key.ts';
import { createLog } from '../../infra/log.ts';
import type { OwnQuotas } from '../../infra/quotas/quotas.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { bearer, keysInMemory } from '../support/api-keys.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const names = namesOf('');
const doer = { by: 'a test' };
const perSecond = 100;
const batch = 5;

let broker: TestBroker;
let env: Record<string, string>;
const services: Service[] = [];
const known = keysInMemory();
const start = async () => {
  const service = await startService('ingest/main.ts', 'INGEST_PORT', env);
  services.push(service);
  await service.ready();
  return service;
};
const kafka = () => createKafka(loadConfig(KafkaConfig, env), 'test', createLog('test', 'error'));

async function made(quotas: OwnQuotas): Promise<string> {
  const { text, change } = createdKey({ label: 'a test', scopes: ['ingest'], quotas }, doer, Date.now());
  await known.append(change);
  await using keyLog = openKeyLog(kafka(), names);
  await keyLog.append(change);
  await Promise.all(
    services.map(service => eventually('it knows the key', async () => (await post(service, text)).status !== 401)),
  );
  return text;
}

async function post(service: Service, key: string, clicks = 1) {
  const headers = { 'content-type': 'application/x-ndjson', ...bearer(key) };
  const body = '{"ad_id":"a"}\n'.repeat(clicks);
  const response = await fetch(`${service.url}/v1/clicks`, { method: 'POST', headers, body });
  return { status: response.status, headers: response.headers, body: (await response.json()) as { accepted?: number } };
}

/** Posts to all of them as fast as refusals allow, for a time, and returns how many clicks each has accepted. */
async function flood(to: readonly Service[], key: string, forMs: number) {
  const began = performance.now();
  const accepted = await Promise.all(
    to.map(async service => {
      let clicks = 0;
      while (performance.now() - began < forMs) {
        const answer = await post(service, key, batch);
        clicks += answer.body.accepted ?? 0;
        if (answer.status !== 202) await new Promise(resolve => setTimeout(resolve, 20));
      }
      return clicks;
    }),
  );
  const seconds = (performance.now() - began) / 1_000;
  const sum = accepted.reduce((all, clicks) => all + clicks, 0);
  return { accepted, sum, seconds, perSecond: sum / seconds };
}

const membersOf = async (service: Service) =>
  /^adclicks_quota_members (\d+)$/m.exec(await (await fetch(`${service.url}/metrics`)).text())?.[1];

beforeAll(async () => {
  broker = await startTestBroker();
  env = { KAFKA_BROKERS: broker.brokers, API_KEYS: 'required' };
  await ensureTopics(kafka(), names, 2);
});
afterAll(async () => {
  for (const service of services) await service[Symbol.asyncDispose]();
  await broker?.[Symbol.asyncDispose]();
});

describe('the quota of a key', () => {
  let key: string;

  it('is all there for a process alone', async () => {
    const alone = await start();
    key = await made({ clicks_per_second: perSecond, burst_seconds: 1 });
    await eventually('it is drained', async () => (await post(alone, key, 50)).status === 429);
    const { sum, seconds } = await flood([alone], key, 4_000);
    expect(sum).toBeLessThanOrEqual(perSecond * (seconds + 1) + batch);
    // Only who asks for more than the quota sees all of it: a busy machine may need several attempts.
    await eventually('it is all there', async () => (await flood([alone], key, 3_000)).perSecond > 0.85 * perSecond);
  });

  it('is split among two, so that together they accept no more than one', async () => {
    const [one] = services;
    const two = await start();
    expect([await membersOf(one!), await membersOf(two)]).toEqual(['2', '2']);
    const { sum, seconds, accepted } = await flood([one!, two], key, 8_000);
    // What it has after a pause, what comes back, a second of the newcomer's share, and what a batch of each overdraws.
    expect(sum).toBeLessThanOrEqual(perSecond * (1 + seconds + 0.5) + 2 * batch);
    // More than the half of one of them: both together have more than each alone. A busy machine may need several attempts.
    await eventually('it is used', async () => (await flood([one!, two], key, 4_000)).perSecond > 0.6 * perSecond);
    for (const clicks of accepted) expect(clicks).toBeGreaterThan(0);
  });

  it('goes to the process that is asked, and all of it is there again after the other was killed', async () => {
    const [one, two] = services;
    await eventually(
      'nearly all of it is there for the one that is asked',
      async () => (await flood([one!], key, 3_000)).perSecond > 0.85 * perSecond,
    );
    await flood([one!, two!], key, 3_000);
    await two?.kill();
    await eventually('one knows that it is alone', async () => (await membersOf(one!)) === '1');
    await eventually('it has all of it', async () => (await flood([one!], key, 3_000)).perSecond > 0.9 * perSecond);
  });

  it('is changed while the key is used, in every process', async () => {
    const [one] = services;
    const id = key.slice(9, 25);
    const change = limitedKey(known.book.get(id)!, { clicks_per_second: 1, burst_seconds: 1 }, doer, Date.now());
    await using keyLog = openKeyLog(kafka(), names);
    await keyLog.append(change);
    await eventually('it is held to it', async () => {
      const answer = await post(one!, key, 1);
      return (
        answer.status === 429 &&
        answer.headers.get('ratelimit-policy') === '"key-clicks";q=1;w=1;adclicks-unit="clicks"'
      );
    });
  });

  const startAgain = async () => {
    for (const service of services.splice(0)) await service.kill();
    return await start();
  };
  /** Of a key that is new to the process. */
  const hasBurst = async (service: Service) => {
    const fresh = await made({ clicks_per_second: 1, burst_seconds: 60 });
    return (await post(service, fresh, 50)).status === 202;
  };

  it('has its burst again some seconds after a process was killed and started at once', async () => {
    const again = await startAgain();
    await eventually('a key that is new to it has its whole burst', () => hasBurst(again));
  });

  it('is given out by a process that is started when the first beats have expired', async () => {
    await using admin = await openAdmin(kafka());
    const topic = names.topic('quota-members');
    await admin.deleteBefore(topic, await admin.endOffsets(topic));
    const again = await startAgain();
    await eventually('a key that is new to it has its whole burst', () => hasBurst(again));
    expect(again.logs()).not.toContain('CANNOT be read');
  });
});
