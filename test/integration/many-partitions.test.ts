/** 48 partitions, the most that is promised: a group that grows and shrinks shares them out and counts exactly. */
import { expect, it } from 'vitest';
import { caughtUp, openBacklog } from '../bench/backlog.ts';
import { compare, countedCells } from '../bench/workload.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const partitions = 48;

it('shares 48 partitions out as processes come and one is killed, and counts exactly', async () => {
  await using stack = new AsyncDisposableStack();
  const backlog = stack.use(await openBacklog({ clicks: 400_000, lines: 20, ads: 10_000, minutes: 4, partitions }));
  const { admin, names, env } = backlog;
  const clicks = names.topic('clicks');
  const start = async () =>
    stack.use(
      await startService('aggregator/main.ts', 'AGGREGATOR_PORT', {
        ...env,
        // So that the backlog lasts while the group changes.
        AGGREGATOR_FETCH_BYTES: String(64 << 10),
        COMMIT_MAX_LINES: '500',
        AGGREGATOR_SESSION_TIMEOUT_MS: '3000',
      }),
    );
  const first = await start();
  await eventually('the first counts', async () => (await admin.commits(names.aggregatorGroup, clicks)).size > 0);
  const others = [await start(), await start()];
  await Promise.all([first, ...others].map(service => service.ready()));
  const shares = [first, ...others].map(service => assigned(service, clicks));
  expect(shares.map(share => share.length)).toEqual([16, 16, 16]);
  expect(new Set(shares.flat()).size).toBe(partitions);
  await others[0]!.kill();
  await caughtUp(backlog, names.aggregatorGroup, [clicks], { service: first, limitMs: 120_000 });
  const ends = await admin.endOffsets(names.topic('aggregates'));
  const range = new Map([...ends].map(([partition, end]) => [partition, { from: 0, end }]));
  compare(await countedCells(backlog.kafka, names.topic('aggregates'), range), backlog.truth);
});

/** The partitions a process was given last, by its log. It is a member of other groups too, which log the same. */
function assigned(service: Service, topic: string): number[] {
  const lines = service.logs().split('\n');
  const given = lines.filter(line => line.includes('partitions assigned')).map(line => JSON.parse(line).assigned);
  return given.findLast(assigned => topic in assigned)?.[topic] ?? [];
}
