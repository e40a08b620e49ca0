/** Members that share quotas, over the simulation's broker: where their topic cannot be read, the process goes on. */
import { expect, it } from 'vitest';
import { ensureTopics } from '../../../../infra/kafka/admin.ts';
import { createProducer } from '../../../../infra/kafka/producer.ts';
import { createLog } from '../../../../infra/log.ts';
import { joinQuotaMembers } from '../../../../infra/quotas/quota-members.ts';
import { names as namesOf } from '../../../../infra/topics.ts';
import { brokerInRealTime } from '../../../simulation/broker-in-real-time.ts';

const names = namesOf('');

it('starts with an even share of the members that it knows where a newer release has written a record', async () => {
  const { kafka } = brokerInRealTime();
  await ensureTopics(kafka, names, 1);
  await using producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
  await producer.send(names.topic('quota-members'), [
    { partition: 0, value: '{}', headers: { kind: 'pulse', adclicks_format: '9' } },
  ]);
  await using members = joinQuotaMembers({
    ...{ kafka, names, log: createLog('test', 'silent') },
    ...{ role: 'ingest', startsWhole: false },
  });
  expect(members.shareOf('k')).toBe(0);
  await members.ready(AbortSignal.timeout(60_000));
  expect(members.shareOf('k')).toBe(1);
});
