/** Rows against counters on a real ClickHouse: rows of the real core, inserted as the sink does, and then tampered with. */

import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type AdMinuteRow, judgedColumns, notJudged } from '../../../aggregator/ad-minute.ts';
import { freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import type { Output } from '../../../aggregator/core/output.ts';
import { PartitionAggregator } from '../../../aggregator/core/partition-aggregator.ts';
import { changeOf } from '../../../aggregator/replay/cell-change.ts';
import type { StatedRow } from '../../../aggregator/restatement.ts';
import { loadConfig } from '../../../infra/config.ts';
import { migrate } from '../../../infra/migrate.ts';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { facts } from '../../../ingest/validity/facts.ts';
import { noRules, type RulesAt, recommendedRules } from '../../../ingest/validity/rules.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { JobsConfig } from '../../../query-api/jobs/config.ts';
import { createConservationCheck } from '../../../query-api/jobs/conservation/conservation-check.ts';
import { openConservationWatch } from '../../../query-api/jobs/conservation/conservation-watch.ts';
import type { SinkPosition } from '../../../query-api/log/counted-log.ts';
import { createQueries } from '../../../query-api/store/ad-counts.ts';
import { createConservationQueries } from '../../../query-api/store/jobs/conservation-rows.ts';
import { createSealStore } from '../../../query-api/store/jobs/seal-store.ts';
import { click } from '../../support/clicks.ts';
import { logInto, restateIn } from '../../support/log-into.ts';
import { oneNode } from '../../support/one-node.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
const partitions = 2;
const [minuteMs, hourMs, dayMs] = [60_000, 3_600_000, 86_400_000];
/** The first of three hours, all over. */
const start = Math.floor(Date.now() / hourMs) * hourMs - 4 * hourMs;
const tables = [
  'ad_minute',
  'ad_minute_by_ad',
  'partition_progress',
  'quarantine',
  'restatement',
  'recounted_minute',
  'conservation_seal',
] as const;

let engine: TemporaryClickHouse;
let streams: ReturnType<typeof createStream>[];
let sinks: SinkPosition[] | undefined;
let clock: number;
let check: ReturnType<typeof newCheck>;

const closing = new AbortController();
const countedLog = {
  endOffsets: async () => new Map<number, number>(),
  sinkPositions: () => (sinks ? Promise.resolve(sinks) : Promise.reject(new Error('no broker'))),
};

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, log);
});
beforeEach(async () => {
  for (const table of tables) await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
  streams = [0, 1].map(createStream);
  sinks = undefined;
  clock = start + 4 * hourMs;
  check = newCheck();
});
afterAll(() => engine[Symbol.asyncDispose]());

const insert = (table: string, ...rows: readonly object[]) =>
  engine.clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));
const change = (sql: string) => engine.clickhouse.command(`${sql} SETTINGS mutations_sync=2`);

/** Nobody has announced rules for the first hour. */
const rulesAt: RulesAt = minute => (minute < start + hourMs ? noRules : { version: 1, rules: recommendedRules });

/** The log of a partition and its aggregator. */
function createStream(partition: number) {
  const settings = { partition, outOfOrdernessMs: 15_000, allowedLatenessMs: 60_000, hashSeed: 7 };
  const aggregator = new PartitionAggregator({ ...settings, rulesAt }, freshCheckpoint(0));
  return {
    /** One record, counted; `appendedAt` is the time of its last click. */
    count(...lines: readonly (Click | string)[]): Output {
      const times = lines.map(line => (typeof line === 'string' ? 0 : line.clickedAt));
      const text = lines.map(line => (typeof line === 'string' ? line : formatLine(line))).join('\n');
      aggregator.process(aggregator.position, Math.max(start, ...times), Buffer.from(text));
      return aggregator.drain();
    },
    tick(appendedAt: number): Output {
      aggregator.process(aggregator.position, appendedAt, null);
      return aggregator.drain();
    },
  };
}

const rowsOf = ({ rowChunks }: Output) => Buffer.concat([...rowChunks]).toString();

/** As the sink inserts: rows, then quarantine, then progress; or parts of it. */
async function land(given: Output | readonly Output[], parts = ['rows', 'quarantine', 'progress']): Promise<void> {
  const outputs = [given].flat();
  const rowsIn = (format: boolean) =>
    outputs
      .filter(({ isJudged }) => isJudged === format)
      .map(rowsOf)
      .join('');
  const quarantined = outputs.flatMap(output => output.quarantined);
  if (parts.includes('rows')) {
    await engine.clickhouse.insert('ad_minute', rowsIn(false));
    await engine.clickhouse.insert('ad_minute', rowsIn(true), judgedColumns);
  }
  if (parts.includes('quarantine') && quarantined.length > 0) await insert('quarantine', ...quarantined);
  if (parts.includes('progress')) {
    await insert('partition_progress', ...outputs.map(({ progress }) => ({ ...progress, partitions })));
  }
}

const at = (minute: number) => start + minute * minuteMs;

/** Three hours in both partitions with copies, broken lines and late ones, final until three minutes before their end. */
async function threeHours(): Promise<Output[]> {
  const outputs: Output[] = [];
  for (const [partition, stream] of streams.entries()) {
    for (let minute = 0; minute < 180; minute += 9) {
      const one = click({ clickedAt: at(minute), adId: `ad_${partition}` });
      const other = click({
        clickedAt: at(minute) + 1,
        adId: 'hot',
        country: minute % 2 ? 'DE' : 'KR',
        facts: facts.bot.bit,
      });
      outputs.push(stream.count(one, one, other, 'broken', click({ clickedAt: at(minute) - hourMs })));
    }
    outputs.push(stream.tick(at(180)));
  }
  // As many at a time as a sink that has some to catch up with.
  for (let i = 0; i < outputs.length; i += 12) await land(outputs.slice(i, i + 12));
  return outputs;
}

function newCheck(given: { now?: () => number } = {}) {
  const now = given.now ?? (() => clock);
  return createConservationCheck({
    queries: createConservationQueries(engine.clickhouse),
    store: createSealStore({ clickhouse: engine.clickhouse, jobLog: logInto(engine.clickhouse).jobLog, now }),
    progress: createQueries(engine.clickhouse, { timeoutMs: 10_000 }).progress,
    countedLog,
    now,
    log,
    closing: closing.signal,
    pauseMs: 1,
  });
}

/** What does not hold. */
async function differences(run = check) {
  const { findings } = await run();
  return findings
    .filter(({ difference }) => difference !== 0)
    .map(({ partition, outcome, difference }) => ({ partition, outcome, difference }));
}

async function holds(run = check): Promise<void> {
  const { findings, isComplete } = await run();
  expect(findings.filter(({ difference }) => difference !== 0)).toEqual([]);
  const outcomes = ['received', 'counted', 'duplicates', 'quarantined', 'invalid'];
  const all = [0, 1].flatMap(partition => outcomes.map(outcome => `${partition} ${outcome}`));
  expect([isComplete, findings.map(({ partition, outcome }) => `${partition} ${outcome}`).sort()]).toEqual([
    true,
    all.sort(),
  ]);
}

const seals = () =>
  engine.clickhouse.query<{ source: string; partition: number; since: number; counted: number; quarantined: number }>(
    `SELECT source, partition, since, counted, quarantined FROM conservation_seal FINAL
     ORDER BY source, partition, since SETTINGS output_format_json_quote_64bit_integers=0`,
  );

/** As a recount would find it: the rows of the cell, against `after` clicks. */
async function restate(adId: string, minute: number, after: number, home: number, job = 'job'): Promise<void> {
  const stated = await engine.clickhouse.query<StatedRow>(
    `SELECT toUnixTimestamp(minute) AS minute, ad_id, country, partition,
       toUInt16(bitShiftRight(version, 48)) AS revision, clicks, duplicates, late, rules, invalid, invalid_by
     FROM (SELECT *, rules, invalid, invalid_by FROM ad_minute FINAL) WHERE ad_id = '${adId}' AND toUnixTimestamp(minute) = ${at(minute) / 1_000}
     SETTINGS output_format_json_quote_64bit_integers=0`,
  );
  const cell = { minute: at(minute) / 1_000, ad_id: adId, country: stated[0]?.country ?? 'KR' };
  const changed = changeOf({ ...cell, partition: home, clicks: after, duplicates: 0, ...notJudged }, stated);
  if (!changed) throw new Error('nothing to restate');
  await restateIn(engine.clickhouse, [changed], { job, reason: 'replay', at: clock });
}

describe('rows and counters agree', () => {
  it('after every commit, and when rows are inserted again in another order', async () => {
    const outputs = await threeHours();
    expect(outputs.flatMap(({ quarantined }) => quarantined).length).toBeGreaterThan(40);
    await holds();
    for (const output of [...outputs].reverse()) await land(output);
    await holds();
    await holds(newCheck());
  });

  it('before anything is counted, and while one partition has not been heard of', async () => {
    expect(await check()).toEqual({ findings: [], isComplete: true });
    const [first] = streams;
    if (first) await land(first.count(click({ clickedAt: at(0) })));
    expect(await differences()).toEqual([]);
  });

  it('after restatements of open and of sealed hours, and of restated counts once more', async () => {
    await threeHours();
    await restate('hot', 0, 40, 0);
    await holds();
    await restate('hot', 9, 41, 1);
    await restate('hot', 171, 42, 0);
    await restate('hot', 171, 0, 1);
    await holds();
    await restate('never_seen', 9, 5, 1);
    await holds();
    await holds(newCheck());
  });

  it('while a restatement is half written: its history is there, its counts are not', async () => {
    await threeHours();
    const before = await engine.clickhouse.query<AdMinuteRow>(
      `SELECT * REPLACE (toUnixTimestamp(minute) AS minute), rules AS rules_given, invalid AS invalid_given,
         invalid_by AS invalid_by_given
       FROM ad_minute FINAL
       SETTINGS output_format_json_quote_64bit_integers=0`,
    );
    await restate('hot', 171, 3, 0);
    await engine.clickhouse.command('TRUNCATE TABLE ad_minute');
    await engine.clickhouse.insert('ad_minute', before.map(row => JSON.stringify(row)).join('\n'), judgedColumns);
    await holds();
  });

  it('with lines that the sink itself has put into quarantine', async () => {
    await threeHours();
    const row = { partition: 0, offset: 3, line: 2 ** 31, detail: '', appended_at: at(3), raw: '{}', clicked_at: 0 };
    await insert('quarantine', { ...row, reason: 'refused', ad_id: '', event_id: '' });
    await holds();
  });

  it('after the rows of sealed hours and lines have expired', async () => {
    await threeHours();
    await holds();
    expect((await seals()).map(({ source, partition }) => `${source} ${partition}`)).toEqual([
      ...['ad_minute 0', 'ad_minute 0', 'ad_minute 1', 'ad_minute 1'],
      ...['quarantine 0', 'quarantine 1'],
    ]);
    clock += 400 * dayMs;
    await change(`ALTER TABLE ad_minute DELETE WHERE minute < toDateTime(${at(120) / 1_000}, 'UTC')`);
    await engine.clickhouse.command('TRUNCATE TABLE quarantine');
    await holds();
    await holds(newCheck());
  });

  it('when hours are sealed twice, by two processes at once', async () => {
    await threeHours();
    await Promise.all([newCheck()(), newCheck()()]);
    const before = await seals();
    await holds();
    expect(await seals()).toEqual(before);
  });

  it('over days without a click and clicks of long ago', async () => {
    const [first, second] = streams;
    if (!first || !second) return;
    await land(first.count(click({ clickedAt: start - 300 * dayMs })));
    await land(first.tick(at(180)));
    await land(second.tick(at(180)));
    await holds();
    expect((await seals()).length).toBe(2 * partitions);
  });

  it('after a difference was looked into and written off', async () => {
    await threeHours();
    await change(
      `ALTER TABLE ad_minute DELETE WHERE ad_id = 'hot' AND partition = 1 AND minute = toDateTime(${at(9) / 1_000}, 'UTC')`,
    );
    expect(await differences()).toEqual([{ partition: 1, outcome: 'counted', difference: -1 }]);
    const accepted = {
      source: 'accepted',
      partition: 1,
      since: 1,
      until: 1,
      counted: 1,
      duplicates: 0,
      quarantined: 0,
    };
    await insert('conservation_seal', { ...accepted, kept_until: 0, note: 'lost in the fire', at: clock });
    await holds();
  });
});

describe('what is on its way is no difference', () => {
  const next = (partition: number, ...lines: readonly (Click | string)[]) => {
    const output = streams[partition]?.count(...lines);
    if (!output) throw new Error('no such partition');
    return output;
  };

  it('when rows are ahead of their progress', async () => {
    await threeHours();
    const output = next(0, ...Array.from({ length: 50 }, () => click({ clickedAt: at(181), adId: 'hot' })));
    await land(output, ['rows']);
    const { findings, isComplete } = await check();
    expect(isComplete).toBe(false);
    expect(findings.filter(({ difference }) => difference !== 0)).toEqual([]);
    await land(output);
    await holds();
  });

  it('when progress is ahead of quarantined lines, for however long, until the sink has passed them', async () => {
    await threeHours();
    await holds();
    const output = next(1, 'broken again', 'and again');
    await land(output, ['rows', 'progress']);
    const passed = { group: 'g', topic: 'quarantine', topicName: 'quarantine', partition: 1, end: 900 } as const;
    for (const position of [undefined, 0, 899]) {
      sinks = position === undefined ? undefined : [{ ...passed, position }];
      expect(await differences()).toEqual([]);
      expect((await check()).isComplete).toBe(false);
    }
    await land(next(1, click({ clickedAt: at(181) })), ['rows', 'progress']);
    expect(await differences()).toEqual([]);
    await land(output);
    await holds();
  });

  it('never, while a sink inserts as fast as it can', async () => {
    await threeHours();
    let isRunning = true;
    const sink = async (partition: number) => {
      for (let minute = 181; isRunning; minute += 0.05) {
        const lines = Array.from({ length: 20 }, (_, i) => click({ clickedAt: at(minute), adId: `ad_${i}` }));
        const output = next(partition, ...lines, lines[0] ?? '', 'broken');
        await land(output, ['rows']);
        await sleep(Math.random() * 5);
        await land(output, ['progress']);
        await sleep(Math.random() * 5);
        await land(output, ['quarantine']);
      }
    };
    const running = Promise.all([sink(0), sink(1)]);
    const found = [];
    for (let i = 0; i < 12; i++) found.push(...(await differences()));
    isRunning = false;
    await running;
    expect(found).toEqual([]);
    await holds();
  });
});

describe('a difference is found', () => {
  const hot = (minute: number, partition: number) =>
    `ad_id = 'hot' AND partition = ${partition} AND minute = toDateTime(${at(minute) / 1_000}, 'UTC')`;

  it.each([
    ['that still grows', 171],
    ['that is final', 126],
    ['that was never sealed', 9],
  ])('when a row is deleted of an hour %s', async (_what, minute) => {
    await threeHours();
    await change(`ALTER TABLE ad_minute DELETE WHERE ${hot(minute, 1)}`);
    const outcomes = minute < 60 ? ['counted'] : ['counted', 'invalid'];
    const found = outcomes.map(outcome => ({ partition: 1, outcome, difference: -1 }));
    expect(await differences()).toEqual(found);
    expect(await differences()).toEqual(found);
  });

  it('when a row is deleted of an hour that was sealed before, as soon as it is looked at again; and its end', async () => {
    const outputs = await threeHours();
    await holds();
    await change(`ALTER TABLE ad_minute DELETE WHERE ${hot(9, 0)}`);
    const found = await eventually('found', async () => {
      clock++;
      const different = await differences();
      return different.length > 0 && different;
    });
    expect(found).toEqual([{ partition: 0, outcome: 'counted', difference: -1 }]);
    expect(await differences()).toEqual([{ partition: 0, outcome: 'counted', difference: -1 }]);
    for (const output of outputs) await land(output);
    await eventually('mended', async () => {
      clock++;
      return (await differences()).length === 0;
    });
  });

  it.each([
    ['fewer clicks invalid', 0, -1],
    ['more clicks invalid', 2, 1],
  ])('when a row says that %s than were counted so', async (_what, invalid, difference) => {
    await threeHours();
    const [row] = await engine.clickhouse.query<AdMinuteRow>(
      `SELECT * REPLACE (toUnixTimestamp(minute) AS minute) FROM ad_minute FINAL
       WHERE ad_id = 'hot' AND partition = 1 AND invalid = 1 ORDER BY minute LIMIT 1
       SETTINGS output_format_json_quote_64bit_integers=0`,
    );
    const given = { rules_given: 1, invalid_given: invalid, invalid_by_given: { known_bot: invalid } };
    await engine.clickhouse.insert('ad_minute', JSON.stringify({ ...row, ...given }), judgedColumns);
    expect(await differences()).toEqual([{ partition: 1, outcome: 'invalid', difference }]);
  });

  it.each([
    ['under another country', `'XX'`, 'partition', 1],
    ['in another partition', 'country', '0', 0],
  ])('when a row is there twice, %s', async (_what, country, copiedTo, partition) => {
    await threeHours();
    await engine.clickhouse.command(
      `INSERT INTO ad_minute SELECT minute, ad_id, ${country}, ${copiedTo}, version, clicks, duplicates, late
       FROM (SELECT *, rules, invalid, invalid_by FROM ad_minute FINAL) WHERE ad_id = 'ad_1' AND minute = toDateTime(${at(9) / 1_000}, 'UTC')`,
    );
    const expected = ['counted', 'duplicates'].map(outcome => ({ partition, outcome, difference: 1 }));
    expect(await differences()).toEqual(expected);
  });

  it('when a row says more than was counted', async () => {
    await threeHours();
    await engine.clickhouse.command(
      `INSERT INTO ad_minute SELECT minute, ad_id, country, partition, version + 1, clicks * 2, duplicates, late
       FROM ad_minute FINAL WHERE ${hot(126, 1)}`,
    );
    expect(await differences()).toEqual([
      { partition: 1, outcome: 'counted', difference: 1 },
      { partition: 1, outcome: 'invalid', difference: -1 },
    ]);
  });

  it('when a restated count has lost its history', async () => {
    await threeHours();
    await restate('hot', 9, 40, 0);
    await engine.clickhouse.command('TRUNCATE TABLE restatement');
    // Nobody can tell what was counted live, so the rows are taken for what they say: 40 instead of 1, and none.
    expect(await differences()).toEqual([
      { partition: 0, outcome: 'counted', difference: 39 },
      { partition: 1, outcome: 'counted', difference: -1 },
    ]);
  });

  it('when somebody has put in a row that passes for a restated one', async () => {
    await threeHours();
    const version = 2 ** 48 + 5;
    await insert('ad_minute', {
      ...{ minute: at(9) / 1_000, ad_id: 'thief', country: 'KR', partition: 0, version, clicks: 7 },
      ...{ duplicates: 2, late: 0 },
    });
    expect(await differences()).toEqual([
      { partition: 0, outcome: 'counted', difference: 7 },
      { partition: 0, outcome: 'duplicates', difference: 2 },
    ]);
  });

  it.each([
    ['once', 'more clicks', 'clicks + 3', 'counted', 3],
    ['once', 'fewer clicks', 'clicks - 3', 'counted', -3],
    ['twice', 'more clicks', 'clicks + 3', 'counted', 3],
    ['twice', 'fewer clicks', 'clicks - 3', 'counted', -3],
  ] as const)(
    'when a row that was restated %s says %s than its restatement',
    async (times, _what, clicks, outcome, difference) => {
      await threeHours();
      await restate('hot', 9, 40, 0);
      if (times === 'twice') await restate('hot', 9, 41, 1);
      await holds();
      const home = times === 'twice' ? 1 : 0;
      await engine.clickhouse.command(
        `INSERT INTO ad_minute (minute, ad_id, country, partition, version, clicks, duplicates, late)
       SELECT minute, ad_id, country, partition, version + 1, ${clicks}, duplicates, late
       FROM ad_minute FINAL WHERE ${hot(9, home)}`,
      );
      const found = await eventually('found', async () => {
        clock++;
        const different = await differences();
        return different.length > 0 && different;
      });
      expect(found).toEqual([{ partition: home, outcome, difference }]);
    },
  );

  it('when a restated row is of a revision that no restatement has made', async () => {
    await threeHours();
    await restate('hot', 9, 40, 0);
    await engine.clickhouse.command(
      `INSERT INTO ad_minute (minute, ad_id, country, partition, version, clicks, duplicates, late)
       SELECT minute, ad_id, country, partition, version + bitShiftLeft(toUInt64(3), 48), clicks, duplicates, late
       FROM ad_minute FINAL WHERE ${hot(9, 0)}`,
    );
    expect(await differences()).toEqual([{ partition: 0, outcome: 'counted', difference: 39 }]);
  });

  it.each([
    ['not sealed yet', false],
    ['sealed', true],
  ])('when a quarantined line is missing that was %s, once the sink has passed it', async (_what, isSealed) => {
    await threeHours();
    if (isSealed) await holds();
    await change('ALTER TABLE quarantine DELETE WHERE partition = 0 AND offset = 5 AND line = 3');
    sinks = [0, 1].map(partition => {
      return { group: 'g', topic: 'quarantine', topicName: 'quarantine', partition, position: 9, end: 9 };
    });
    const expected = [{ partition: 0, outcome: 'quarantined', difference: -1 }];
    for (let minute = 181; minute < 200; minute++) {
      clock += minuteMs;
      for (const stream of streams) await land(stream.tick(at(minute)));
      const found = await differences();
      if (found.length > 0) return expect(found).toEqual(expected);
    }
    expect.unreachable('not found');
  });

  it('when there is a quarantined line too many', async () => {
    await threeHours();
    await engine.clickhouse.command(
      `INSERT INTO quarantine SELECT partition, offset, 77, reason, detail, appended_at, ad_id, event_id, clicked_at, raw
       FROM (SELECT * FROM quarantine FINAL) WHERE partition = 1 AND offset = 5 AND line = 3`,
    );
    expect(await differences()).toEqual([{ partition: 1, outcome: 'quarantined', difference: 1 }]);
  });

  it('when the counters themselves do not balance', async () => {
    await threeHours();
    const tick = streams[0]?.tick(at(181));
    if (!tick) return;
    await insert('partition_progress', { ...tick.progress, received: tick.progress.received + 2 });
    expect(await differences()).toEqual([{ partition: 0, outcome: 'received', difference: -2 }]);
  });
});

describe('the watch', () => {
  it('shows what it finds in /v1/status and /metrics, and its end', async () => {
    const outputs = await threeHours();
    const deps = { clickhouse: engine.clickhouse, countedLog, now: Date.now, log };
    const config = loadConfig(JobsConfig, { CONSERVATION_INTERVAL_MS: '1000' });
    const { jobLog } = logInto(engine.clickhouse);
    await using _watch = openConservationWatch({ ...deps, store: oneNode(engine.clickhouse), config, jobLog });
    // As a query API of its own: it knows of what is said through the log alone.
    const http = await buildQueryApi({ ...deps, config: loadConfig(QueryApiConfig, {}) });
    await using _ = { [Symbol.asyncDispose]: () => http.close() };
    const status = async () => (await http.inject('/v1/status')).json().conservation;
    const metrics = async () => (await http.inject('/metrics')).body;
    const alarm = 'adclicks_conservation_difference{partition="1",outcome="counted"}';

    await eventually('checked', async () => (await status()).rows?.checked_at);
    expect((await status()).rows).toMatchObject({ difference: 0, differences: [] });
    expect(await metrics()).toContain(`${alarm} 0\n`);
    expect(await metrics()).toMatch(/\nadclicks_conservation_checked_timestamp_seconds \d+/);

    await change(
      `ALTER TABLE ad_minute DELETE WHERE ad_id = 'hot' AND partition = 1 AND minute = toDateTime(${at(171) / 1_000}, 'UTC')`,
    );
    // The click was counted, and it was invalid.
    await eventually('alarm', async () => (await status()).rows.difference === 2);
    const [found] = (await status()).rows.differences;
    expect(found).toEqual({ partition: 1, outcome: 'counted', expected: 40, found: 39, difference: -1 });
    expect(await metrics()).toContain(`${alarm} -1\n`);

    for (const output of outputs) await land(output);
    await eventually('all well again', async () => (await status()).rows.difference === 0);
    expect(await metrics()).toContain(`${alarm} 0\n`);
  });
});
