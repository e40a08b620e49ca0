/** Which partitions a leg of the sink has halted in, from one rebalance to the next. */
import { expect, it } from 'vitest';
import { HaltedPartitions } from '../../../aggregator/sink/halted-partitions.ts';
import { UnknownFormat } from '../../../infra/errors.ts';
import { registry } from '../../../infra/metrics.ts';

const assigned = (...partitions: number[]) => new Map([['clicks', partitions]]);
const place = (partition: number) => ({ topic: 'clicks', partition });

async function shown(reader: string): Promise<Record<string, number>> {
  const metric = await registry.getSingleMetric('adclicks_format_unknown')?.get();
  const own = metric?.values.filter(({ labels }) => labels['reader'] === reader) ?? [];
  return Object.fromEntries(own.map(({ labels, value }) => [labels['partition'], value]));
}

it('keeps a partition halted that is assigned again, and shows it so all the while', async () => {
  const halts = new HaltedPartitions('again');
  halts.assign(assigned(0, 1));
  expect(halts.halt(place(1), new UnknownFormat('format 9'))).toBe(true);
  const standing = halts.assign(assigned(1, 2));
  expect(standing.map(({ partition }) => partition)).toEqual([1]);
  expect([0, 1, 2].map(partition => halts.has(place(partition)))).toEqual([false, true, false]);
  expect(halts.why).toContain('format 9');
  expect(await shown('again')).toEqual({ 1: 1, 2: 0 });
});

it('forgets a partition that goes to another process, and begins anew with it when it comes back', async () => {
  const halts = new HaltedPartitions('back');
  halts.assign(assigned(0));
  halts.halt(place(0), new UnknownFormat('format 9'));
  expect(halts.assign(assigned())).toEqual([]);
  expect(await shown('back')).toEqual({});
  expect(halts.halt(place(0), new UnknownFormat('format 9'))).toBe(false);
  expect(halts.assign(assigned(0))).toEqual([]);
  expect(halts.has(place(0))).toBe(false);
});
