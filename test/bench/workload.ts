/**
 * A backlog of clicks with its truth, of the same kind as the peers kit's: Zipf-like ads, eight countries, 1 % copies
 * within 30 s, 5 % out of order within 15 s. The same numbers give the same clicks.
 */

import { adMinuteRowOf, recordKinds } from '../../aggregator/ad-minute.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { openGroupConsumer } from '../../infra/kafka/group-consumer.ts';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { type Click, formatLine } from '../../ingest/click.ts';
import { routeOf } from '../../ingest/hot-ads/rule.ts';

export interface Workload {
  readonly clicks: number;
  readonly lines: number;
  readonly ads: number;
  readonly minutes: number;
  readonly partitions: number;
  /** Epoch ms of the first click, a full minute; the store drops clicks of long ago. */
  readonly begin?: number;
  /** Part of the clicks that are of one ad, besides those of the others; 0 to 1. */
  readonly hotShare?: number;
  /** That ad is split over the partitions, as ingest would after it was announced. */
  readonly isSplit?: boolean;
}

/** Distinct clicks by `ad_id|epoch minute`. */
export type Cells = ReadonlyMap<string, number>;

const hotAd = 'ad_hot';
const countries = ['KR', 'US', 'JP', 'DE', 'BR', 'IN', 'GB', 'FR'];
const sendBytes = 3 << 20;

/** Fills the topic and returns what a correct count arrives at. */
export async function fill(kafka: KafkaClient, topic: string, workload: Workload): Promise<Cells> {
  await using producer = createProducer(kafka, { acks: -1, timeoutMs: 30_000 });
  const truth = new Map<string, number>();
  let records: OutgoingRecord[] = [];
  let bytes = 0;
  const send = async () => {
    if (records.length > 0) await producer.send(topic, records);
    [records, bytes] = [[], 0];
  };
  const count = (click: Click) => {
    const cell = `${click.adId}|${Math.floor(click.clickedAt / 60_000)}`;
    truth.set(cell, (truth.get(cell) ?? 0) + 1);
  };
  for (const { partition, value } of recordsOf(workload, count)) {
    records.push({ partition, value });
    bytes += value.length;
    if (bytes > sendBytes) await send();
  }
  await send();
  return truth;
}

export interface BacklogRecord {
  readonly partition: number;
  /** NDJSON. */
  readonly value: string;
  /** Epoch ms: when its last click was received. */
  readonly receivedAt: number;
}

/** The records of the topic in order; `onDistinct` is told every click that is no copy. */
export function* recordsOf(
  workload: Workload,
  onDistinct: (click: Click) => void = () => undefined,
): Generator<BacklogRecord> {
  const open: string[][] = Array.from({ length: workload.partitions }, () => []);
  let receivedAt = 0;
  const close = (partition: number) => {
    const value = open[partition]!.join('\n');
    open[partition] = [];
    return { partition, value, receivedAt };
  };
  for (const { click, isCopy } of clicksOf(workload)) {
    const partition = routeOf(click, workload.partitions, adId => workload.isSplit === true && adId === hotAd);
    open[partition]!.push(formatLine(click));
    receivedAt = click.receivedAt;
    if (!isCopy) onDistinct(click);
    if (open[partition]!.length === workload.lines) yield close(partition);
  }
  for (const [partition, lines] of open.entries()) if (lines.length > 0) yield close(partition);
}

function* clicksOf({
  clicks,
  ads,
  minutes,
  begin = 1_767_225_600_000,
  hotShare = 0,
}: Workload): Generator<{ click: Click; isCopy: boolean }> {
  const random = randomNumbers(1);
  const recent: Click[] = [];
  let originals = 0;
  const recentMost = Math.max(1, Math.min(100_000, Math.floor((clicks * 30_000) / (minutes * 60_000))));
  for (let i = 0; i < clicks; i++) {
    const receivedAt = begin + Math.floor((i / clicks) * minutes * 60_000);
    const clickId = `0${String(i).padStart(25, '0')}`;
    if (recent.length > 0 && random() < 0.01) {
      const original = recent[Math.floor(random() * recent.length)]!;
      yield { click: { ...original, clickId, receivedAt }, isCopy: true };
      continue;
    }
    const click: Click = {
      clickId,
      eventId: `${hex(random)}${hex(random)}${hex(random)}${i.toString(16).padStart(8, '0')}`,
      adId:
        hotShare > 0 && random() < hotShare ? hotAd : `ad_${String(Math.floor(ads * random() ** 4)).padStart(7, '0')}`,
      clickedAt: receivedAt - Math.floor(random() * (random() < 0.05 ? 15_000 : 200)),
      receivedAt,
      country: countries[Math.floor(random() * countries.length)]!,
      userId: `u_${String(Math.floor(random() * 5e6)).padStart(7, '0')}`,
      ip: `203.0.${Math.floor(random() * 256)}.${Math.floor(random() * 256)}`,
    };
    recent[originals++ % recentMost] = click;
    yield { click, isCopy: false };
  }
}

const hex = (random: () => number) =>
  Math.floor(random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0');

/** Mulberry32. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The last row of every cell that is committed in topic `aggregates` from offset `from` on, over all countries. */
export async function countedCells(
  kafka: KafkaClient,
  topic: string,
  range: ReadonlyMap<number, { from: number; end: number }>,
): Promise<Cells> {
  const rows = new Map<string, { version: number; clicks: number }>();
  const unread = new Map([...range].filter(([, { from, end }]) => from < end));
  const done = Promise.withResolvers<void>();
  const reached = (partition: number, offset: number) => {
    if (offset >= (unread.get(partition)?.end ?? 0)) unread.delete(partition);
    if (unread.size === 0) done.resolve();
  };
  let consumer: Awaited<ReturnType<typeof openGroupConsumer>> | undefined;
  await using _ = await openGroupConsumer(kafka, {
    group: `bench-check-${process.pid}-${performance.now()}`,
    topics: [topic],
    isolation: 'read_committed',
    sessionTimeoutMs: 30_000,
    maxWaitMs: 250,
    minBytes: 1,
    maxBytes: 32 << 20,
    maxBytesPerPartition: 8 << 20,
    concurrency: 1,
    keepsRecords: false,
    log: createLog('bench', 'error'),
    onOpen: opened => {
      consumer = opened;
    },
    onAssigned: () => {
      for (const [partition, { from }] of range) consumer?.seek(topic, partition, from);
    },
    async onBatch({ partition, records, nextOffset }) {
      for (const { headers, value } of records)
        if (String(headers?.['kind']) === recordKinds.adMinute) keepLast(rows, String(value));
      reached(partition, nextOffset);
    },
    onGap: (_topic, partition, _first, nextOffset) => reached(partition, nextOffset),
    onCrash: done.reject,
  });
  await done.promise;
  const cells = new Map<string, number>();
  for (const [key, { clicks }] of rows) {
    const cell = key.slice(0, key.lastIndexOf('|'));
    cells.set(cell, (cells.get(cell) ?? 0) + clicks);
  }
  return cells;
}

function keepLast(rows: Map<string, { version: number; clicks: number }>, ndjson: string): void {
  for (const line of ndjson.split('\n')) {
    if (line === '') continue;
    const { ad_id, minute, country, partition, version, clicks } = adMinuteRowOf(JSON.parse(line));
    const key = `${ad_id}|${minute / 60}|${country} ${partition}`;
    const before = rows.get(key);
    if (before === undefined || before.version <= version) rows.set(key, { version, clicks });
  }
}

/** @throws where any cell is missing, extra or off */
export function compare(counted: Cells, truth: Cells): void {
  const wrong = [...truth].filter(([cell, clicks]) => counted.get(cell) !== clicks).map(([cell]) => cell);
  const extra = [...counted.keys()].filter(cell => !truth.has(cell));
  const examples = [...wrong, ...extra].slice(0, 5).map(cell => `${cell}: ${counted.get(cell)} of ${truth.get(cell)}`);
  if (examples.length > 0) throw new Error(`${wrong.length + extra.length} of ${truth.size} cells differ: ${examples}`);
}
