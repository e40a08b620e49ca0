/** The query API over a real ClickHouse that holds clicks, raw and counted, as sinks would have left them at a fixed time. */
import type { LightMyRequestResponse } from 'fastify';
import { pino } from 'pino';
import { type AdMinuteRow, judgedColumns, notJudged } from '../../aggregator/ad-minute.ts';
import { loadConfig } from '../../infra/config.ts';
import type { Http } from '../../infra/http.ts';
import { migrate } from '../../infra/migrate.ts';
import { type Click, formatLine } from '../../ingest/click.ts';
import type { HotAdRule } from '../../ingest/hot-ads/rule.ts';
import type { RulesVersion } from '../../ingest/validity/rule-set.ts';
import { buildQueryApi } from '../../query-api/app.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import type { SinkPosition } from '../../query-api/log/counted-log.ts';
import { logInto } from './log-into.ts';
import { openTemporaryClickHouse } from './temporary-clickhouse.ts';

export type CountedClicks = Awaited<ReturnType<typeof openCountedClicks>>;

/** `now` in epoch ms, for good. What `rules` and `sinkPositions` say is kept for a second, of `now`. */
export async function openCountedClicks(
  now: number,
  env: NodeJS.ProcessEnv = {},
  rules: () => readonly HotAdRule[] = () => [],
  sinkPositions: () => readonly SinkPosition[] = () => [],
  versions: readonly RulesVersion[] = [],
) {
  const engine = await openTemporaryClickHouse();
  const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
  await migrate(engine.clickhouse, log);
  // Rows are of a fixed day, and merges drop those whose time to live is over.
  await engine.clickhouse.command('SYSTEM STOP MERGES');
  const countedLog = {
    endOffsets: async () => new Map<number, number>(),
    sinkPositions: async () => [...sinkPositions()],
  };
  const config = loadConfig(QueryApiConfig, env);
  const { requests } = logInto(engine.clickhouse);
  const appAt = (time: number): Promise<Http> =>
    buildQueryApi({
      config,
      clickhouse: engine.clickhouse,
      log,
      now: () => time,
      countedLog,
      requests,
      routing: async () => ({ rules: rules(), partitionRules: [], versions }),
    });
  const http = await appAt(now);
  let position = 0;
  const insertRows = (table: string, rows: readonly unknown[]) =>
    engine.clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));
  const insertRaw = (clicks: readonly Click[]) =>
    engine.clickhouse.insert('click_raw', clicks.map(formatLine).join('\n'));
  /** A view copies them to the table by ad. */
  const insertCounts = (rows: readonly AdMinuteRow[]) =>
    engine.clickhouse.insert('ad_minute', judgedLinesOf(rows), judgedColumns);
  const answerOf = ({ statusCode, headers, body }: LightMyRequestResponse) => ({
    status: statusCode,
    headers,
    body: body === '' ? undefined : JSON.parse(body),
  });
  return {
    engine,
    http,
    /** Another one over the same store, to which it is another time. */
    appAt,
    insertRows,
    insertRaw,
    insertCounts,
    get: async (url: string, headers: Record<string, string> = {}) => answerOf(await http.inject({ url, headers })),
    put: async (url: string, payload: object) => answerOf(await http.inject({ method: 'PUT', url, payload })),
    remove: async (url: string) => answerOf(await http.inject({ method: 'DELETE', url })),
    /** Raw clicks, and their counts as the stream has them. */
    async insert(clicks: readonly Click[]) {
      await insertRaw(clicks);
      await insertCounts(countsOf(clicks));
    },
    /** All minutes that end by then, epoch ms, are final. */
    async setFinalUntil(at: number, watermark = now - 15_000) {
      const row = { partition: 0, partitions: 1, watermark, final_until: at, appended_at: now - 1_000 };
      const lines = { received: 0, counted: 0, duplicates: 0, quarantined: 0 };
      await insertRows('partition_progress', [{ ...row, ...lines, position: ++position }]);
    },
    async clear() {
      for (const table of ['click_raw', 'ad_minute', 'ad_minute_by_ad', 'restatement', 'quarantine', 'stored_filter']) {
        await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
      }
    },
    async [Symbol.asyncDispose]() {
      await http.close();
      await engine[Symbol.asyncDispose]();
    },
  };
}

/** Lines of `judgedColumns`, as a sink inserts them. */
export function judgedLinesOf(rows: readonly AdMinuteRow[]): string {
  const lines = rows.map(row => {
    const counted = [row.minute, row.ad_id, row.country, row.partition, row.version, row.clicks, row.duplicates];
    return JSON.stringify([...counted, row.late, row.rules, row.invalid, row.invalid_by]);
  });
  return lines.join('\n');
}

/** Each event id of an ad and minute once, by what its first copy says; clicks are in the order of receipt. */
export function firstCopies(clicks: readonly Click[]): { readonly click: Click; readonly copies: number }[] {
  const groups = Map.groupBy(clicks, click => `${minuteOf(click)} ${click.adId} ${click.eventId}`);
  return [...groups.values()].map(copies => ({ click: copies[0]!, copies: copies.length }));
}

export function countsOf(clicks: readonly Click[]): AdMinuteRow[] {
  const cells = Map.groupBy(firstCopies(clicks), ({ click }) =>
    JSON.stringify([minuteOf(click), click.adId, click.country]),
  );
  return [...cells].map(([key, counted]) => {
    const [minute, ad_id, country] = JSON.parse(key) as [number, string, string];
    const duplicates = counted.reduce((sum, { copies }) => sum + copies - 1, 0);
    return {
      minute: minute / 1_000,
      ad_id,
      country,
      partition: 0,
      version: 10,
      clicks: counted.length,
      duplicates,
      late: 0,
      ...notJudged,
    };
  });
}

function minuteOf({ clickedAt }: Click): number {
  return clickedAt - (clickedAt % 60_000);
}
