/**
 * Two ClickHouse nodes that hold the same rows, each with a sink and an eraser of its own, for random histories. The
 * streams, the rows of sinks and the erasers are the real ones. What is said in the log is there at once, in an order and
 * in pieces that chance decides, and each node hears of an erasure when chance says so.
 */
import type { Logger } from 'pino';
import { judgedColumns } from '../../aggregator/ad-minute.ts';
import { freshCheckpoint } from '../../aggregator/core/checkpoint.ts';
import type { Output } from '../../aggregator/core/output.ts';
import { PartitionAggregator } from '../../aggregator/core/partition-aggregator.ts';
import { erasedLine } from '../../aggregator/sink/erased-rows.ts';
import { rawRows } from '../../aggregator/sink/raw-rows.ts';
import { openRowEraser } from '../../aggregator/sink/row-eraser.ts';
import { type ClickHouse, openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import { migrate } from '../../infra/migrate.ts';
import { type Click, formatLine, partitionOf, splitPartitionOf } from '../../ingest/click.ts';
import { ErasureBook } from '../../ingest/privacy/erasure-book.ts';
import { type ErasurePart, erasureRecords, formOf, readErasure } from '../../ingest/privacy/erasure-record.ts';
import type { RulesAt } from '../../ingest/validity/rules.ts';
import type { SeededRandom } from '../simulation/seeded-random.ts';
import { splitAd } from './billed-clicks.ts';
import type { TestClickHouse } from './clickhouse.ts';

export const partitions = 2;

export interface Node {
  readonly name: string;
  readonly clickhouse: ClickHouse;
}

/** Two databases of one server, of this history alone. The statements are the same. */
export async function openNodes(server: TestClickHouse, history: string, log: Logger) {
  const nodes: Node[] = [];
  for (const name of ['one', 'two']) {
    const env = { ...server.env, CLICKHOUSE_DATABASE: `${history}_${name}` };
    const clickhouse = openClickHouse(loadConfig(ClickHouseConfig, env), { readers: 2 });
    await migrate(clickhouse, log);
    nodes.push({ name, clickhouse });
  }
  return {
    nodes: nodes as [Node, Node],
    async [Symbol.asyncDispose]() {
      for (const { clickhouse, name } of nodes) {
        await clickhouse.command(`DROP DATABASE ${history}_${name}`);
        await clickhouse[Symbol.asyncDispose]();
      }
    },
  };
}

/** Topic `erasures`, of which every reader has read some. */
export function createErasureLog() {
  const parts: ErasurePart[] = [];
  return {
    /** As the query API appends it. */
    erase(userIds: readonly string[], at: number): void {
      const { records } = erasureRecords(userIds.map(formOf), userIds.length);
      for (const { value, headers } of records) {
        const record = { offset: parts.length, timestamp: at, value: Buffer.from(String(value)) };
        parts.push(readErasure('erasures', { ...record, headers: headers as Record<string, string> }));
      }
    },
    reader() {
      const book = new ErasureBook();
      return {
        book,
        readToEnd: async () => {
          for (const part of parts) book.take(part);
        },
      };
    },
  };
}

/** Fills a node from the log. */
export function openNodeSink(
  { clickhouse, name }: Node,
  erasures: ReturnType<ReturnType<typeof createErasureLog>['reader']>,
  log: Logger,
) {
  const { book } = erasures;
  const insert = (table: string, rows: readonly object[]) =>
    clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));
  const eraser = openRowEraser({ clickhouse, book, node: name, settleMs: 300, now: Date.now, log });
  return {
    ...erasures,
    async insertRaw(clicks: readonly Click[]): Promise<void> {
      if (clicks.length === 0) return;
      const value = Buffer.from(clicks.map(formatLine).join('\n'));
      const record = { offset: 0, timestamp: Number.MAX_SAFE_INTEGER, value, headers: {} };
      await clickhouse.insert('click_raw', Buffer.concat(rawRows(0, [record], book)));
    },
    /** Counts first, and progress last. */
    async insertOutputs(outputs: readonly Output[]): Promise<void> {
      for (const isJudged of [false, true]) {
        const chunks = outputs.filter(of => of.isJudged === isJudged).flatMap(({ rowChunks }) => [...rowChunks]);
        if (chunks.length > 0)
          await clickhouse.insert('ad_minute', Buffer.concat(chunks), ...(isJudged ? [judgedColumns] : []));
      }
      const lines = outputs.flatMap(({ quarantined }) => quarantined);
      if (lines.length > 0)
        await insert(
          'quarantine',
          lines.map(line => ({ ...line, ...erasedLine(line as never, book) })),
        );
      await insert(
        'partition_progress',
        outputs.map(({ progress }) => ({ ...progress, partitions })),
      );
    },
    [Symbol.asyncDispose]: () => eraser[Symbol.asyncDispose](),
  };
}

/** The aggregators of all partitions. */
export function createStreams(rulesAt: RulesAt, random: SeededRandom) {
  const streams = Array.from({ length: partitions }, (_, partition) => {
    const settings = { partition, outOfOrdernessMs: 15_000, allowedLatenessMs: 60_000, hashSeed: 7, rulesAt };
    return new PartitionAggregator(settings, freshCheckpoint(0));
  });
  const process = (of: PartitionAggregator, appendedAt: number, lines: Uint8Array | null) => {
    of.process(of.position, appendedAt, lines);
    return of.drain();
  };
  return {
    /** Returns outputs of transactions, in their order. With `appendedAt`, all come then. */
    count(clicks: readonly Click[], appendedAt?: number): Output[] {
      return streams.flatMap((stream, partition) => {
        const own = clicks.filter(one => placeOf(one) === partition);
        const outputs: Output[] = [];
        while (own.length > 0) {
          const batch = own.splice(0, random.between(1, 9));
          const lines = batch.map(formatLine);
          if (random.chance(0.1)) lines.push('{"user_id":"u","broken');
          const at = appendedAt ?? Math.max(...batch.map(({ clickedAt }) => clickedAt));
          outputs.push(process(stream, at, Buffer.from(lines.join('\n'))));
        }
        return outputs;
      });
    },
    /** By partition, the offset before which everything is counted. */
    positions: () => new Map(streams.map(({ position }, partition) => [partition, position])),
    tick: (appendedAt: number) => streams.map(stream => process(stream, appendedAt, null)),
  };
}

function placeOf({ adId, eventId }: Click): number {
  return adId === splitAd ? splitPartitionOf(eventId, partitions) : partitionOf(adId, partitions);
}
