/** What acknowledgements tell of the clocks of brokers. */
import { beforeEach, expect, it } from 'vitest';
import { BrokerClocks } from '../../../../infra/kafka/broker-clocks.ts';
import { registry } from '../../../../infra/metrics.ts';

const appended = (appendedAt: number, errorCode = 0) => [{ topic: 'clicks', partition: 3, errorCode, appendedAt }];
const minutes = 60_000;
let now = 0;
let clocks: BrokerClocks;
beforeEach(() => {
  now = 0;
  registry.getSingleMetric('adclicks_broker_clock_ahead_seconds')?.reset();
  clocks = new BrokerClocks(() => now);
});

async function ahead(): Promise<Record<string, number>> {
  const metric = await registry.getSingleMetric('adclicks_broker_clock_ahead_seconds')?.get();
  return Object.fromEntries(metric?.values.map(({ labels, value }) => [labels['broker'], value]) ?? []);
}

it.each([
  ['between the request and its answer', 1_000_300, 0],
  ['when it was sent', 1_000_000, 0],
  ['when it was answered', 1_000_900, 0],
  ['after the answer: ahead', 1_600_900, 600],
  ['before the request: behind', 400_000, -600],
])('a broker that has appended %s', async (_when, at, seconds) => {
  clocks.acknowledged(2, appended(at), { sentAt: 1_000_000, answeredAt: 1_000_900 });
  expect(await ahead()).toEqual({ 2: seconds });
});

it('each broker has a clock of its own', async () => {
  clocks.acknowledged(1, appended(1_000_000), { sentAt: 1_000_000, answeredAt: 1_000_000 });
  clocks.acknowledged(2, appended(400_000), { sentAt: 1_000_000, answeredAt: 1_000_000 });
  expect(await ahead()).toEqual({ 1: 0, 2: -600 });
});

it.each([
  ['a refusal', appended(5_000_000, 6)],
  ['a topic that takes the times of its writers', appended(-1)],
  ['no answer', []],
])('%s tells nothing', async (_what, results) => {
  clocks.acknowledged(1, results, { sentAt: 1_000_000, answeredAt: 1_000_000 });
  expect(await ahead()).toEqual({});
});

it('a broker that appends nothing any more is not remembered: its clock may have been put right', async () => {
  clocks.acknowledged(1, appended(0), { sentAt: 0, answeredAt: 0 });
  clocks.acknowledged(2, appended(10 * minutes), { sentAt: 0, answeredAt: 0 });
  now = 2 * minutes;
  clocks.acknowledged(1, appended(0), { sentAt: 0, answeredAt: 0 });
  expect(await ahead()).toEqual({ 1: 0, 2: 600 });
  now = 2 * minutes + 1;
  clocks.acknowledged(1, appended(0), { sentAt: 0, answeredAt: 0 });
  expect(await ahead()).toEqual({ 1: 0 });
});
