/**
 * Bodies that are made to keep ingest busy, over real sockets and on a real broker, beside somebody who posts single
 * clicks one after another. That nobody waits for a body to be judged whole is claimed where turns of the event loop can
 * be counted (test/unit/ingest/large-bodies.test.ts, app.test.ts), and measured in `npm run bench:bombs`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { costOf } from '../bench/process-cost.ts';
import { type Bomb, bombs, postBomb } from '../support/bombs.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { readCommitted } from '../support/read-committed.ts';
import { type Service, startService } from '../support/service.ts';

let broker: TestBroker;
let ingest: Service;
beforeAll(async () => {
  broker = await startTestBroker();
  const config = loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.brokers });
  await ensureTopics(createKafka(config, 'test', createLog('test', 'error')), names(''), 4);
  ingest = await startService('ingest/main.ts', 'INGEST_PORT', { KAFKA_BROKERS: broker.brokers });
  await ingest.ready();
});
afterAll(async () => {
  await ingest?.[Symbol.asyncDispose]();
  await broker?.[Symbol.asyncDispose]();
});

const good: string[] = [];

/** Posts single clicks, each when the one before is answered, for as long as `meanwhile` takes. */
async function besideGoodPosts(meanwhile: Promise<unknown>): Promise<number[]> {
  let isOver = false;
  const over = meanwhile.finally(() => {
    isOver = true;
  });
  const statuses: number[] = [];
  while (!isOver) {
    const id = `good-${good.length}`;
    const body = JSON.stringify({ ad_id: 'ad-good', event_id: id, clicked_at: Date.now() });
    const headers = { 'content-type': 'application/json' };
    const { status } = await fetch(`${ingest.url}/v1/clicks`, { method: 'POST', headers, body });
    statuses.push(status);
    if (status === 202) good.push(id);
  }
  await over;
  return statuses;
}

/** Of four clients four each at once. */
const all = (bomb: Bomb) =>
  Promise.all(Array.from({ length: 16 }, (_, i) => postBomb(ingest.url, bomb, `127.0.0.${2 + (i % 4)}`)));

describe('bodies that are made to keep ingest busy', () => {
  it.each(bombs)('are refused, and all others are accepted meanwhile: $kind, $form', async bomb => {
    const posting = all(bomb);
    const statuses = await besideGoodPosts(posting);
    const refused = await posting;
    expect(new Set(statuses)).toEqual(new Set([202]));
    expect(refused.filter(status => status !== 400 && status !== 413)).toEqual([]);
  });

  it('leave nothing in the log, where all of the others is, once', async () => {
    const lines = await readCommitted(broker.brokers, 'clicks');
    const found = lines.flatMap(({ line }) => (line.startsWith('{') ? [JSON.parse(line)] : []));
    expect(found.map(({ event_id }) => event_id).sort()).toEqual([...good].sort());
    expect(good.length).toBeGreaterThan(bombs.length);
  });

  it('take a bounded amount of memory', () => {
    // What bodies may hold, being received, inflated and judged, and as much again that is not collected yet.
    expect(costOf(ingest.pid).peakMb).toBeLessThan(1_000);
  });
});
