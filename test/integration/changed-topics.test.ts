/** Somebody changes topics with Kafka's own tools, under a running pipeline and while a part of it is stopped. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { createKafka, type KafkaClient } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { alterTopic } from '../support/altered-topic.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { scrape } from '../support/scrape.ts';
import { eventually } from '../support/wait.ts';

const names = namesOf('');
let pipeline: TestPipeline;
let kafka: KafkaClient;
/** Every click that was posted, as it was posted. */
const ledger: object[] = [];

beforeAll(async () => {
  pipeline = await startTestPipeline();
  kafka = createKafka(loadConfig(KafkaConfig, pipeline.env), 'operator', createLog('test', 'error'));
});
afterAll(() => pipeline?.[Symbol.asyncDispose]());

async function post(): Promise<number> {
  const from = ledger.length;
  for (let i = 0; i < 20; i++) ledger.push({ ad_id: `ad-${i}`, event_id: `e${from + i}`, clicked_at: Date.now() });
  return (await pipeline.post(ledger.slice(from))).status;
}

/** Each `topic setting` of which the query API says that it is unsafe, or undefined while it has not looked. */
async function unsafeNow(): Promise<string[] | undefined> {
  const series = (await scrape(pipeline.queryApi.url)).filter(({ name }) => name === 'adclicks_topic_setting_unsafe');
  const unsafe = series
    .filter(({ value }) => value === 1)
    .map(({ labels }) => `${labels['topic']} ${labels['setting']}`);
  return series.length === 0 ? undefined : unsafe.sort();
}
const becomesUnsafe = (...expected: string[]) =>
  eventually(`unsafe: ${expected.join()}`, async () => JSON.stringify(await unsafeNow()) === JSON.stringify(expected));

interface Status {
  readonly partitions: readonly { readonly counted: number }[];
}
const countedNow = async () => {
  const { partitions } = await pipeline.get<Status>('/v1/status');
  return partitions.reduce((sum, { counted }) => sum + counted, 0);
};
const allCounted = () => eventually('all counted', async () => (await countedNow()) === ledger.length);

it('as they are made, no setting is unsafe', () => becomesUnsafe());

it('settings that would lose clicks, state or finality are told, with value, rule and harm, until they are put right', async () => {
  await alterTopic(kafka, names, 'clicks', { 'message.timestamp.type': 'CreateTime', 'retention.ms': '60000' });
  await alterTopic(kafka, names, 'keys', { 'cleanup.policy': 'delete' });
  await alterTopic(kafka, names, 'hot-ads', { 'unclean.leader.election.enable': 'true' });
  await becomesUnsafe(
    'clicks message.timestamp.type',
    'clicks retention.ms',
    'hot-ads unclean.leader.election.enable',
    'keys cleanup.policy',
  );
  const linesNow = () =>
    pipeline.queryApi
      .logs()
      .split('\n')
      .filter(line => line.includes('topic settings: UNSAFE'));
  // What a process writes arrives a moment after what it answers.
  await eventually('the lines', () => linesNow().length >= 4);
  const lines = linesNow();
  expect(lines).toHaveLength(4);
  expect(lines.find(line => line.includes('"keys"'))).toMatch(
    /"value":"delete","rule":"compact","harm":"state that is kept for ever expires"/,
  );
  for (const topic of ['clicks', 'keys', 'hot-ads'] as const) await alterTopic(kafka, names, topic, {});
  await becomesUnsafe();
});

it('clicks that a compacted topic does not take get 503, and are counted once when it is put right', async () => {
  await alterTopic(kafka, names, 'clicks', { 'cleanup.policy': 'compact' });
  await eventually('refused', async () => (await post()) === 503);
  await becomesUnsafe('clicks cleanup.policy');
  await alterTopic(kafka, names, 'clicks', {});
  // As clients do, whose clicks were refused.
  await eventually('accepted', async () => (await pipeline.post(ledger)).status === 202);
  await allCounted();
});

/** As `kafka-consumer-groups --reset-offsets` does: offsets without anything beside them. */
async function resetOffsets(groupId: string, topic: string, offsets: readonly number[]): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  const partitions = offsets.map((offset, partition) => ({ partition, offset: `${offset}` }));
  await admin.setOffsets({ groupId, topic, partitions });
  await admin.disconnect();
}

it('offsets that are set back or forward in a sink’s groups while it is stopped skip nothing and double nothing', async () => {
  await allCounted();
  await pipeline.sink.stop();
  expect(await post()).toBe(202);
  const ends = async (topic: string) => {
    const admin = kafka.admin();
    await admin.connect();
    const found = await admin.fetchTopicOffsets(topic);
    await admin.disconnect();
    return found.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high));
  };
  await resetOffsets(names.rawSinkGroup, 'clicks', await ends('clicks'));
  await resetOffsets(names.aggregateSinkGroup, 'aggregates', [0, 0, ...(await ends('aggregates')).slice(2)]);
  await (await pipeline.restart('sink')).ready();
  await allCounted();
});

it('offsets that are set back or forward in the aggregators’ group halt the partitions, and a group that is removed counts the same again', async () => {
  await pipeline.aggregator.stop();
  expect(await post()).toBe(202);
  await resetOffsets(names.aggregatorGroup, 'clicks', [0, 1, 2, 3]);
  const halted = await pipeline.restart('aggregator');
  await eventually('halted', () => halted.logs().split('task halted').length === 5);
  const answer = await fetch(`${halted.url}/readyz`);
  expect([answer.status, await answer.text()]).toEqual([
    503,
    expect.stringContaining('the committed offset has no checkpoint'),
  ]);
  await halted.stop();
  const admin = kafka.admin();
  await admin.connect();
  await eventually('the group is empty', () =>
    admin.deleteGroups([names.aggregatorGroup]).then(
      () => true,
      () => false,
    ),
  );
  await admin.disconnect();
  await (await pipeline.restart('aggregator')).ready();
  await allCounted();
});
