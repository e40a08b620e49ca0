/**
 * Everything has expired that the log keeps for a limited time, and every process is started again. Nothing of that is
 * needed any more, so nobody waits for it.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka, type KafkaClient } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf, type TopicName, topicSettings } from '../../infra/topics.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';

const names = namesOf('');
const minuteMs = 60_000;
const expiring = Object.entries(topicSettings)
  .filter(([, settings]) => settings['retention.ms'] !== undefined)
  .map(([name]) => name as TopicName);
const groups: Readonly<Partial<Record<TopicName, readonly string[]>>> = {
  clicks: [names.rawSinkGroup, names.aggregatorGroup],
  aggregates: [names.aggregateSinkGroup],
  quarantine: [names.aggregateSinkGroup],
  'job-requests': [names.resultSinkGroup],
  'job-results': [names.resultSinkGroup],
  audit: [names.resultSinkGroup],
};

let pipeline: TestPipeline;
let kafka: KafkaClient;
beforeAll(async () => {
  pipeline = await startTestPipeline({
    OUT_OF_ORDERNESS_MS: '1000',
    ALLOWED_LATENESS_MS: '1000',
    SINK_ERASURE_SETTLE_MS: '1000',
  });
  const config = loadConfig(KafkaConfig, { KAFKA_BROKERS: pipeline.broker.brokers });
  kafka = createKafka(config, 'test', createLog('test', 'error'));
});
afterAll(() => pipeline?.[Symbol.asyncDispose]());

const countOf = async (adId: string, minute: number) =>
  await pipeline.get<{ count: number; state: string }>(
    `/v1/ads/${adId}/aggregated_count?from=${minute}&to=${minute + minuteMs}`,
  );

async function clickOf(adId: string, userId: string): Promise<number> {
  const clickedAt = Date.now();
  const { status } = await pipeline.post({ ad_id: adId, event_id: 'e', clicked_at: clickedAt, user_id: userId });
  expect(status).toBe(202);
  return clickedAt - (clickedAt % minuteMs);
}

async function erased(userId: string): Promise<void> {
  const answer = await fetch(`${pipeline.queryApi.url}/v1/users/${userId}`, { method: 'DELETE' });
  expect(answer.status).toBe(202);
  const { id } = (await answer.json()) as { id: string };
  await eventually(
    'nothing of the person is left',
    async () => (await pipeline.get<{ state: string }>(`/v1/erasures/${id}`)).state === 'done',
  );
}

/** Until everybody has read what is there; then all of it is removed. */
async function expireAll(): Promise<void> {
  await using admin = await openAdmin(kafka);
  for (const name of expiring) {
    const topic = names.topic(name);
    const ends = await eventually(`${name} is read`, async () => {
      const found = await admin.endOffsets(topic);
      for (const group of groups[name] ?? []) {
        const commits = await admin.commits(group, topic);
        for (const [partition, end] of found) if ((commits.get(partition)?.offset ?? 0) < end) return undefined;
      }
      return found;
    });
    await admin.deleteBefore(topic, ends);
    for (const [partition, { start }] of await admin.ranges(topic)) expect(start).toBe(ends.get(partition));
  }
}

it('goes on with the next click and the next erasure', async () => {
  const before = await clickOf('before', 'jo');
  await erased('jo');
  await eventually('it is final', async () => (await countOf('before', before)).state === 'final');
  await expireAll();
  for (const name of ['ingest', 'sink', 'aggregator', 'queryApi', 'jobs'] as const) {
    await pipeline[name].kill();
    await (await pipeline.restart(name)).ready();
  }
  const after = await clickOf('after', 'mo');
  await eventually('it is counted', async () => (await countOf('after', after)).count === 1);
  await erased('mo');
  expect((await countOf('before', before)).count).toBe(1);
});
