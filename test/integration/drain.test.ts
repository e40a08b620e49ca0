/** Ingest stopping under load, on a real broker: who is told what, and what is in the log afterwards. */
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { ask, isRefusal, type Outcome } from '../support/http-client.ts';
import { readCommitted } from '../support/read-committed.ts';
import { startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

let broker: TestBroker;
beforeAll(async () => {
  broker = await startTestBroker();
  const config = loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.brokers });
  await ensureTopics(createKafka(config, 'test', createLog('test', 'error')), names(''), 4);
});
afterAll(() => broker?.[Symbol.asyncDispose]());

describe('ingest that is told to stop under load', () => {
  it('fails no client that honours readiness, answers all others with the truth or a problem, and loses nothing', async () => {
    await using ingest = await startService('ingest/main.ts', 'INGEST_PORT', {
      KAFKA_BROKERS: broker.brokers,
      DRAIN_DELAY_MS: '1500',
    });
    await ingest.ready();
    let ready = true;
    let posted = 0;
    const acknowledged: string[] = [];
    /** Posts until `mayGoOn` says no, or there is no answer. */
    const client = async (keepAlive: boolean, mayGoOn: () => boolean) => {
      const agent = new Agent({ keepAlive, maxSockets: 1 });
      const outcomes: Outcome[] = [];
      while (mayGoOn() && outcomes.at(-1)?.failed === undefined) {
        const ids = Array.from({ length: 5 }, () => `e-${++posted}`);
        const clicks = ids.map(id => ({
          ad_id: `ad-${id.length}-${posted % 7}`,
          event_id: id,
          clicked_at: Date.now(),
        }));
        const outcome = await ask(`${ingest.url}/v1/clicks`, { agent, body: JSON.stringify(clicks) });
        if (outcome.status === 202 && outcome.failed === undefined) acknowledged.push(...ids);
        outcomes.push(outcome);
      }
      agent.destroy();
      return outcomes;
    };
    const clients = (count: number, keepAlive: boolean, mayGoOn: () => boolean) =>
      Promise.all(Array.from({ length: count }, () => client(keepAlive, mayGoOn)));
    const honouring = Promise.all([clients(4, true, () => ready), clients(4, false, () => ready)]);
    const stubborn = clients(4, true, () => true);
    const watch = async () => {
      for (const agent = new Agent(); ready; await sleep(25))
        ready = (await ask(`${ingest.url}/readyz`, { agent })).status === 200;
    };
    const watching = watch();
    await eventually('many are acknowledged', () => acknowledged.length > 500);
    const before = acknowledged.length;
    const code = ingest.stop();
    await watching;

    expect((await honouring).flat(2).filter(({ status }) => status !== 202)).toEqual([]);
    for (const outcomes of await stubborn) {
      // The listener is gone, or was while the connection was being made.
      expect(outcomes.pop()).toMatchObject({ failed: expect.stringMatching(/ECONNREFUSED|ECONNRESET/), reused: false });
      expect(outcomes.filter(outcome => outcome.status !== 202 && !isRefusal(outcome))).toEqual([]);
    }
    expect(await code).toBe(0);
    expect(ingest.logs()).not.toMatch(/"level":"(error|fatal)"|cut off/);
    expect(acknowledged.length).toBeGreaterThan(before);

    const lines = await readCommitted(broker.brokers, 'clicks');
    const inLog = lines.map(({ line }) => line && (JSON.parse(line) as { event_id?: string }).event_id);
    expect(acknowledged.filter(id => !inLog.includes(id))).toEqual([]);
    expect(inLog.length).toBe(new Set(inLog).size);
  });
});
