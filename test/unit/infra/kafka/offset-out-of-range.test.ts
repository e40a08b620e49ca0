import { createRequire } from 'node:module';
import { afterEach, expect, it, vi } from 'vitest';
import { Corrupt } from '../../../../infra/errors.ts';
import '../../../../infra/kafka/offset-out-of-range.ts';

interface Group {
  recoverFromOffsetOutOfRange(error: object): Promise<void>;
}

const ConsumerGroup: { readonly prototype: Group } = createRequire(import.meta.url)(
  'kafkajs/src/consumer/consumerGroup.js',
);
const outOfRange = { topic: 'clicks', partition: 0 };

/** A member that asks for `offset` of a log that begins at `begin`. */
function groupAt(offset: () => number, begin: number): Group {
  return Object.assign(Object.create(ConsumerGroup.prototype), {
    groupId: 'g',
    preferredReadReplicasPerTopicPartition: {},
    offsetManager: { nextOffset: () => offset() },
    cluster: {
      refreshMetadata: async () => {},
      fetchTopicsOffset: async () => [{ topic: 'clicks', partitions: [{ partition: 0, offset: String(begin) }] }],
    },
  });
}

afterEach(() => vi.useRealTimers());

/** What becomes of asking for an hour. */
async function askFor(group: Group, times: number): Promise<void> {
  for (let asked = 0; asked < times; asked++) {
    const recovered = group.recoverFromOffsetOutOfRange(outOfRange);
    recovered.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(1_000);
    await recovered;
  }
}

it('is sure at once where the log begins behind what is asked for', async () => {
  await expect(groupAt(() => 5, 6).recoverFromOffsetOutOfRange(outOfRange)).rejects.toThrow(Corrupt);
});

it('asks again for half a minute where the log seems to end too early, as a broker that is lost may say', async () => {
  vi.useFakeTimers();
  const group = groupAt(() => 500, 0);
  await askFor(group, 30);
  await expect(askFor(group, 5)).rejects.toThrow(Corrupt);
});

it('begins to count anew where something could be read in between', async () => {
  vi.useFakeTimers();
  let offset = 500;
  const group = groupAt(() => offset, 0);
  await askFor(group, 29);
  offset = 501;
  await askFor(group, 29);
});
