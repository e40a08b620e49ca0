import { describe, expect, it } from 'vitest';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import type { Disk } from '../../../infra/clickhouse/disks.ts';
import { registry } from '../../../infra/metrics.ts';
import { createPipelineMetrics } from '../../../query-api/answers/pipeline-metrics.ts';
import type { CountedLog, SinkPosition } from '../../../query-api/log/counted-log.ts';
import { patientLog } from '../../../query-api/log/patient-log.ts';
import { type LateClicks, lateClicksOf } from '../../../query-api/store/late-clicks.ts';
import { type SplitReading, splitClicksOf } from '../../../query-api/store/split-clicks.ts';

const now = 1_763_800_000_000;
const progress = (partition: number, fields: Partial<Progress> = {}): Progress => ({
  partition,
  partitions: 2,
  position: 40,
  watermark: now - 15_500,
  final_until: 0,
  appended_at: 0,
  received: 12,
  counted: 9,
  duplicates: 2,
  quarantined: 1,
  acknowledged: 11,
  missing: 2,
  invalid: 0,
  ids_per_ad_from: null,
  ...fields,
});
const sink = (partition: number, position: number, end: number): SinkPosition => ({
  group: 'sink-aggregates',
  topic: 'aggregates',
  topicName: 'aggregates',
  partition,
  position,
  end,
});
const never = () => new Promise<never>(() => undefined);
const away = () => Promise.reject(new Error('no broker'));

const someDisk = async () => [{ name: 'data', freeBytes: 5e9, sizeBytes: 2e10 }];

function setUp(
  given: Partial<CountedLog> = {},
  rows: () => Promise<Progress[]> = async () => [progress(0)],
  disks: () => Promise<readonly Disk[]> = someDisk,
  writtenOff: () => Promise<Map<number, number>> = async () => new Map(),
  lateClicks: () => Promise<LateClicks> = async () => lateClicksOf([]),
  splitClicks: SplitReading = async () => splitClicksOf([]),
) {
  let time = now;
  const countedLog: CountedLog = {
    endOffsets: async () => new Map([[0, 45]]),
    sinkPositions: async () => [],
    ...given,
  };
  const refresh = createPipelineMetrics({
    queries: { progress: rows, writtenOff },
    clickhouse: { disks },
    countedLog: patientLog(
      countedLog,
      make => {
        const made = make();
        return () => made;
      },
      () => time,
    ),
    lateClicks,
    splitClicks,
    now: () => time,
    clock: () => time,
  });
  return {
    /** The lines of a scrape about these metrics. */
    async scrape(...names: readonly string[]) {
      await refresh();
      const lines = (await registry.metrics()).split('\n');
      return lines.filter(line => names.some(name => line.startsWith(`adclicks_${name}{`)));
    },
    later: (ms: number) => {
      time += ms;
    },
  };
}

describe('waiting late clicks', () => {
  const names = ['late_minutes', 'late_clicks_waiting', 'late_clicks_waiting_since_timestamp_seconds'];
  const told = async (lateClicks: () => Promise<LateClicks>) => {
    const { scrape } = setUp({}, undefined, undefined, undefined, lateClicks);
    await scrape();
    const lines = (await registry.metrics()).split('\n');
    return names.map(name => lines.find(line => line.startsWith(`adclicks_${name} `))?.split(' ')[1]);
  };

  it('are exported as the rows have them, and are absent when they are unknown', async () => {
    const waiting = [
      { minute: 60_000, ad_id: 'a', clicks: 3, since: now - 5_000 },
      { minute: 60_000, ad_id: 'b', clicks: 1, since: now - 9_000 },
      { minute: 180_000, ad_id: 'a', clicks: 2, since: now },
    ];
    expect(await told(async () => lateClicksOf(waiting))).toEqual(['2', '6', `${(now - 9_000) / 1_000}`]);
    expect(await told(away)).toEqual([undefined, undefined, undefined]);
    expect(await told(async () => lateClicksOf([]))).toEqual(['0', '0', '0']);
  });
});

describe('minutes of split ads that wait', () => {
  const told = async (splitClicks: SplitReading) => {
    const { scrape } = setUp({}, undefined, undefined, undefined, undefined, splitClicks);
    await scrape();
    const lines = (await registry.metrics()).split('\n');
    const names = ['split_minutes', 'split_minutes_since_timestamp_seconds'];
    return names.map(name => lines.find(line => line.startsWith(`adclicks_${name} `))?.split(' ')[1]);
  };

  it('are exported with the oldest of them, and are absent when they are unknown', async () => {
    const rows = [
      { minute: 60_000, ad_id: 'a', clicks: 3 },
      { minute: 60_000, ad_id: 'b', clicks: 1 },
      { minute: 180_000, ad_id: 'a', clicks: 2 },
    ];
    expect(await told(async () => splitClicksOf(rows))).toEqual(['2', '60']);
    expect(await told(away)).toEqual([undefined, undefined]);
    expect(await told(async () => splitClicksOf([]))).toEqual(['0', '0']);
  });
});

describe('a scrape', () => {
  it('exports the size and the free bytes of the disks, and nothing while they are unknown', async () => {
    expect(await setUp().scrape('disk_free_bytes', 'disk_size_bytes')).toEqual([
      'adclicks_disk_free_bytes{disk="data"} 5000000000',
      'adclicks_disk_size_bytes{disk="data"} 20000000000',
    ]);
    const silent = setUp({}, undefined, away);
    expect(await silent.scrape('disk_free_bytes', 'disk_size_bytes')).toEqual([]);
    expect(await silent.scrape('lag_records')).toHaveLength(1);
  });

  it('exports the lag in records and in seconds of event time, and every line by its outcome', async () => {
    const { scrape } = setUp();
    expect(await scrape('lag_records', 'lag_seconds', 'store_lines_total')).toEqual([
      'adclicks_lag_records{partition="0"} 5',
      'adclicks_lag_seconds{partition="0"} 15.5',
      'adclicks_store_lines_total{partition="0",outcome="received"} 12',
      'adclicks_store_lines_total{partition="0",outcome="counted"} 9',
      'adclicks_store_lines_total{partition="0",outcome="duplicates"} 2',
      'adclicks_store_lines_total{partition="0",outcome="quarantined"} 1',
    ]);
  });

  it('exports how many acknowledged clicks are missing, without those that are written off', async () => {
    expect(await setUp().scrape('missing_clicks', 'store_acknowledged_lines_total')).toEqual([
      'adclicks_store_acknowledged_lines_total{partition="0"} 11',
      'adclicks_missing_clicks{partition="0"} 2',
    ]);
    const looked = setUp({}, undefined, undefined, async () => new Map([[0, 2]]));
    expect(await looked.scrape('missing_clicks')).toEqual(['adclicks_missing_clicks{partition="0"} 0']);
    const silent = setUp({}, undefined, undefined, away);
    expect(await silent.scrape('missing_clicks')).toEqual([]);
    expect(await silent.scrape('store_acknowledged_lines_total')).toHaveLength(1);
  });

  it('exports how far each sink is behind the last stable offset', async () => {
    const { scrape } = setUp({ sinkPositions: async () => [sink(0, 40, 47), sink(1, 9, 9)] });
    const labels = 'group="sink-aggregates",topic="aggregates"';
    expect(await scrape('sink_lag_records')).toEqual([
      `adclicks_sink_lag_records{${labels},partition="0"} 7`,
      `adclicks_sink_lag_records{${labels},partition="1"} 0`,
    ]);
  });

  it.each([
    ['no row yet', []],
    ['a row that knows no time', [progress(1, { watermark: 0, position: 0 })]],
  ])(
    'exports the lag of a partition that was never counted, with %s, as endless: absent, it would alert nobody',
    async (_what, rows) => {
      const ends = new Map([
        [0, 40],
        [1, 45],
      ]);
      const { scrape } = setUp({ endOffsets: async () => ends }, async () => [progress(0), ...rows]);
      expect(await scrape('lag_records', 'lag_seconds')).toEqual([
        'adclicks_lag_records{partition="0"} 0',
        'adclicks_lag_records{partition="1"} 45',
        'adclicks_lag_seconds{partition="0"} 15.5',
        'adclicks_lag_seconds{partition="1"} +Inf',
      ]);
    },
  );

  it('tells that the log is shorter than what was counted of it: it was made anew, or records are gone', async () => {
    const ends = new Map([
      [0, 33],
      [1, 41],
    ]);
    const { scrape } = setUp({ endOffsets: async () => ends }, async () => [progress(0), progress(1)]);
    expect(await scrape('counted_beyond_log_records', 'lag_records')).toEqual([
      'adclicks_lag_records{partition="0"} 0',
      'adclicks_lag_records{partition="1"} 1',
      'adclicks_counted_beyond_log_records{partition="0"} 7',
      'adclicks_counted_beyond_log_records{partition="1"} 0',
    ]);
    const silent = setUp({ endOffsets: away });
    expect(await silent.scrape('counted_beyond_log_records')).toEqual([]);
  });

  it('exports no lag in time of a partition in which nothing is', async () => {
    const { scrape } = setUp({ endOffsets: async () => new Map([[1, 0]]) }, async () => [
      progress(0, { watermark: 0 }),
    ]);
    expect(await scrape('lag_records', 'lag_seconds')).toEqual(['adclicks_lag_records{partition="1"} 0']);
  });

  it('exports the same values again, however often it is scraped', async () => {
    const { scrape, later } = setUp();
    const first = await scrape('lag_records', 'store_lines_total');
    later(1_000);
    expect(await scrape('lag_records', 'store_lines_total')).toEqual(first);
  });
});

describe('a metric of a system that does not answer', () => {
  it.each([
    ['fails', away],
    ['hangs', never],
  ])('is absent while Kafka %s, and neither zero nor its old value', async (_what, answer) => {
    let isAway = false;
    const { scrape, later } = setUp({
      endOffsets: () => (isAway ? answer() : Promise.resolve(new Map([[0, 45]]))),
      sinkPositions: () => (isAway ? answer() : Promise.resolve([sink(0, 1, 2)])),
    });
    expect(await scrape('lag_records', 'sink_lag_records')).toHaveLength(2);
    isAway = true;
    later(1_000);
    expect(await scrape('lag_records', 'sink_lag_records')).toEqual([]);
    expect(await scrape('lag_seconds')).toHaveLength(1);
    isAway = false;
    later(1_000);
    expect(await scrape('lag_records', 'sink_lag_records')).toHaveLength(2);
  });

  it('is absent while the store is away, unless Kafka alone has it', async () => {
    const { scrape } = setUp({ sinkPositions: async () => [sink(0, 1, 2)] }, away);
    expect(await scrape('lag_records', 'lag_seconds', 'store_lines_total', 'missing_clicks')).toEqual([]);
    expect(await scrape('sink_lag_records')).toHaveLength(1);
  });
});
