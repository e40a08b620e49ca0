/** For how long an open transaction holds back who reads: since when the end of what can be read stands still with records behind it. */
import { expect, it } from 'vitest';
import { registry } from '../../../infra/metrics.ts';
import { createOpenTransactions } from '../../../query-api/answers/open-transactions.ts';

const at = (partition: number, end: number) => ({ topic: 'aggregates', partition, end });
const ends = (...of: number[]) => new Map([['aggregates', new Map(of.map((end, partition) => [partition, end]))]]);

async function seconds(): Promise<Record<string, number>> {
  const { values } = await registry.getSingleMetric('adclicks_open_transaction_seconds')!.get();
  return Object.fromEntries(values.map(({ labels, value }) => [`${labels['partition']}`, value]));
}

it('counts while the end stands still, and begins anew when it moves', async () => {
  const open = createOpenTransactions();
  open.see([at(0, 10), at(1, 5)], ends(12, 5), 1_000);
  expect(await seconds()).toEqual({ 0: 0, 1: 0 });
  open.see([at(0, 10), at(1, 5)], ends(20, 5), 31_000);
  expect(await seconds()).toEqual({ 0: 30, 1: 0 });
  // That one has ended, and the next one was seen for the first time.
  open.see([at(0, 20), at(1, 5)], ends(22, 9), 61_000);
  expect(await seconds()).toEqual({ 0: 0, 1: 0 });
  open.see([at(0, 20), at(1, 5)], ends(22, 9), 71_000);
  expect(await seconds()).toEqual({ 0: 10, 1: 10 });
  // All was read, and what comes long after it is held back from then on.
  open.see([at(0, 22), at(1, 9)], ends(22, 9), 81_000);
  open.see([at(0, 22), at(1, 9)], ends(23, 9), 91_000);
  expect(await seconds()).toEqual({ 0: 0, 1: 0 });
});

it('says nothing of topics that the brokers did not answer for, and nothing at all when they were not asked', async () => {
  const open = createOpenTransactions();
  open.see([at(0, 10), { topic: 'clicks', partition: 0, end: 3 }], ends(10), 1_000);
  expect(await seconds()).toEqual({ 0: 0 });
  open.forget();
  expect(await seconds()).toEqual({});
});
