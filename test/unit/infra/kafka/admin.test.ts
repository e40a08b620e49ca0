/** Answers that leave something out. What kafkajs makes of the brokers' answers is given here. */
import { expect, it } from 'vitest';
import { openAdmin, partitionCount } from '../../../../infra/kafka/admin.ts';
import type { KafkaClient } from '../../../../infra/kafka/client.ts';

interface Answers {
  offsets?: { partition: number; low: string; high: string }[];
  commits?: { partition: number; offset: string; metadata: string | null }[];
  partitions?: object[];
}

function adminOf(answers: Answers) {
  const kafka = {
    admin: () => ({
      connect: async () => {},
      disconnect: async () => {},
      fetchTopicOffsets: async () => answers.offsets,
      fetchOffsets: async () => [{ topic: 'clicks', partitions: answers.commits ?? [] }],
      fetchTopicMetadata: async () => ({ topics: [{ name: 'clicks', partitions: answers.partitions }] }),
    }),
  } as unknown as KafkaClient;
  return { kafka, open: () => openAdmin(kafka) };
}

const from = (low: string, high: string) => (partition: number) => ({ partition, low, high });
const commitOf = (partition: number) => ({ partition, offset: '7', metadata: 'm' });
const none = (partition: number) => ({ partition, offset: '-1', metadata: null });

it('tells a partition without a commit from one of which nothing is said', async () => {
  const admin = await adminOf({ commits: [commitOf(0), none(1)] }).open();
  expect(await admin.committed('g', 'clicks', 0)).toEqual({ offset: 7, metadata: 'm' });
  expect(await admin.committed('g', 'clicks', 1)).toBeUndefined();
  await expect(admin.committed('g', 'clicks', 2)).rejects.toThrow('the answer does not contain clicks[2]');
  expect([...(await admin.commits('g', 'clicks')).keys()]).toEqual([0]);
});

it.each([
  ['no partition', [], 'clicks[0]'],
  ['not the first', [commitOf(1)], 'clicks[0]'],
  ['one in the middle not', [commitOf(0), commitOf(2)], 'clicks[1]'],
])('takes committed offsets that tell of %s for an error', async (_what, commits, missing) => {
  const admin = await adminOf({ commits }).open();
  await expect(admin.commits('g', 'clicks')).rejects.toThrow(`the answer does not contain ${missing}`);
});

it('takes fewer partitions than there were for an error, as from a broker that is behind', async () => {
  const answers: Answers = { offsets: [0, 1, 2].map(from('0', '5')), commits: [commitOf(0), commitOf(1)] };
  const admin = await adminOf(answers).open();
  expect((await admin.ranges('clicks')).get(2)).toEqual({ start: 0, end: 5 });
  await expect(admin.commits('g', 'clicks')).rejects.toThrow('the answer does not contain clicks[2]');
  answers.offsets = [0, 1].map(from('0', '5'));
  await expect(admin.endOffsets('clicks')).rejects.toThrow('the answer does not contain clicks[2]');
});

it.each([
  ['-1', '5'],
  ['6', '5'],
  ['', '5'],
  ['x', '5'],
])('takes a range from %s to %s for an error', async (low, high) => {
  const admin = await adminOf({ offsets: [from(low, high)(0)] }).open();
  await expect(admin.ranges('clicks')).rejects.toThrow(`from ${low} to ${high}`);
});

it('never says that a topic has no partitions', async () => {
  await expect(partitionCount(adminOf({ partitions: [] }).kafka, 'clicks')).rejects.toThrow('no partitions');
  expect(await partitionCount(adminOf({ partitions: [{}, {}] }).kafka, 'clicks')).toBe(2);
});
