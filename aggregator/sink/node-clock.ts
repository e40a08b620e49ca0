/**
 * Compares the clock of a ClickHouse node with that of this process, once a minute. By its own clock a node lets rows
 * expire: one that is weeks ahead deletes raw clicks that are still needed, for good.
 */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { timeOf } from '../../infra/clickhouse/node-time.ts';
import { aheadMs } from '../../infra/clock-difference.ts';
import { messageOf } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import { repeatedly } from '../../infra/repeatedly.ts';
import { nodeClockAhead } from './metrics.ts';

export interface NodeClockDeps {
  readonly clickhouse: Pick<ClickHouse, 'query'>;
  /** Its name. */
  readonly node: string;
  readonly log: Logger;
  /** Epoch ms. */
  readonly now?: () => number;
  readonly everyMs?: number;
}

export function watchNodeClock({
  clickhouse,
  node,
  log,
  now = Date.now,
  everyMs = 60_000,
}: NodeClockDeps): AsyncDisposable {
  nodeClockAhead.set({ node }, 0);
  return repeatedly(async () => {
    try {
      const sentAt = now();
      const told = await timeOf(clickhouse);
      nodeClockAhead.set({ node }, aheadMs(told, { sentAt, answeredAt: now() }) / 1_000);
    } catch (error) {
      log.debug({ node, why: messageOf(error) }, 'the time of the node is not known at the moment');
    }
    return everyMs;
  });
}
