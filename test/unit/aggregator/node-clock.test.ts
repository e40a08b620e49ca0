/** What a ClickHouse node says of its time, by which it deletes rows. */
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { watchNodeClock } from '../../../aggregator/sink/node-clock.ts';
import { registry } from '../../../infra/metrics.ts';
import { eventually } from '../../support/wait.ts';

async function aheadSeconds(): Promise<number | undefined> {
  const metric = await registry.getSingleMetric('adclicks_node_clock_ahead_seconds')?.get();
  return metric?.values.find(({ labels }) => labels['node'] === 'a')?.value;
}

it('is compared with ours again and again, and stays what it was while the node does not answer', async () => {
  const day = 24 * 3_600_000;
  let ahead = 0;
  let [asked, isAway] = [0, false];
  const query = async () => {
    asked++;
    if (isAway) throw new Error('ECONNREFUSED');
    return [{ at: 1_000_000_000 + ahead }] as never;
  };
  const now = () => 1_000_000_000;
  await using _watch = watchNodeClock({
    ...{ clickhouse: { query }, node: 'a', now, everyMs: 2 },
    log: pino({ level: 'silent' }),
  });
  await eventually('it is asked', async () => asked > 1);
  expect(await aheadSeconds()).toBe(0);
  ahead = 36 * day;
  await eventually('it is ahead', async () => (await aheadSeconds()) === (36 * day) / 1_000);
  isAway = true;
  const before = asked;
  await eventually('it is away', async () => asked > before + 2);
  expect(await aheadSeconds()).toBe((36 * day) / 1_000);
  isAway = false;
  ahead = -600_000;
  await eventually('it is behind', async () => (await aheadSeconds()) === -600);
});
