/** That the checks of the rounds on several nodes can fail: each finds what was planted, and nothing where all is well. */
import { describe, expect, it } from 'vitest';
import type { Ledger, LedgerClick } from '../../faults/ledger.ts';
import { type Answer, createAnswerChecks } from '../../faults/nodes/answer-checks.ts';
import { type AskedNode, compareRows } from '../../faults/nodes/equal-rows.ts';
import { rawOfShards, stores } from '../../faults/nodes/evidence.ts';
import { withTopology } from '../../faults/nodes/rounds.ts';
import { keepTruth } from '../../faults/nodes/truth.ts';
import { createWeather } from '../../faults/nodes/weather.ts';
import type { StoreRows } from '../../faults/store-rows.ts';

const minute = 1_763_800_020_000;
const end = minute + 60_000;
const maxLagMs = 10_000;
const lateness = { outOfOrdernessMs: 5_000, allowedLatenessMs: 10_000 };
const clickOf = (number: number, clicked_at = minute): LedgerClick => {
  return { event_id: `ad#${number}`, ad_id: 'ad', clicked_at, country: 'KR' };
};

function bench() {
  let [posts, now] = [0, minute];
  const ledger: Ledger = { planned: () => ++posts, answered: () => undefined, [Symbol.dispose]: () => undefined };
  const truth = keepTruth(ledger, lateness, () => now);
  return {
    truth,
    checks: createAnswerChecks(truth, lateness, maxLagMs),
    /** Clicks with these numbers, acknowledged then; left out: not yet. */
    post(numbers: readonly number[], ackedAt?: number, clickedAt?: number) {
      const post = truth.planned(numbers.map(number => clickOf(number, clickedAt)));
      if (ackedAt === undefined) return;
      now = ackedAt;
      truth.answered(post, true, []);
    },
  };
}

function answer(
  count: number,
  at: number,
  watermark: number | null,
  state: 'provisional' | 'final' = 'provisional',
): Answer {
  const counts = count === 0 ? [] : [{ ad: 'ad', from: minute, to: end, count, state }];
  return {
    ...{ what: 'popular_ads', sentAt: at, receivedAt: at + 10, watermark, counts },
    isWhole: { from: minute, to: end, state },
  };
}

describe('an answer of a query API', () => {
  it('may lack what is not covered by its watermark yet, and no copy counts', () => {
    const { checks, post } = bench();
    post([1, 2], minute + 1_000);
    post([2, 3], minute + 9_000);
    expect(checks.check(answer(2, minute + 9_500, minute + 4_000))).toEqual([]);
    expect(checks.check(answer(3, minute + 9_500, minute + 4_000))).toEqual([]);
    expect(checks.check(answer(0, minute + 9_500, null))).toEqual([]);
    expect([checks.checked, checks.bounded]).toEqual([3, 2]);
  });

  it('is above the truth with a click that nobody has posted', () => {
    const { checks, post } = bench();
    post([1, 2, 2]);
    expect(checks.check(answer(3, minute + 1_000, null)).join()).toMatch(/^above the truth: .*of 2 posted$/);
  });

  it('is below its watermark without a click that was accepted before it, or without the ad', () => {
    const { checks, post } = bench();
    post([1, 2], minute + 1_000);
    const watermark = minute + 1_001 - lateness.outOfOrdernessMs;
    for (const count of [0, 1])
      expect(checks.check(answer(count, minute + 2_000, watermark)).join()).toMatch(/^below its own watermark: .*of 2/);
    expect(checks.check(answer(1, minute + 2_000, watermark - 1))).toEqual([]);
  });

  it('is below it with a final number that lacks one, whatever its watermark', () => {
    const { checks, post } = bench();
    post([1, 2], end + 14_999);
    expect(checks.check(answer(1, end + 20_000, null, 'final')).join()).toMatch(/^below its own watermark/);
  });

  it('may lack clicks that have come too late', () => {
    const { checks, post } = bench();
    post([1], end + 15_000);
    expect(checks.check(answer(0, end + 20_000, end + 15_000, 'final'))).toEqual([]);
  });

  it('takes a final number back if it tells less than one before it, unless a replica may not have it yet', () => {
    const { checks, post } = bench();
    post([1, 2, 3], end + 60_000);
    expect(checks.check(answer(3, end + 70_000, null, 'final'))).toEqual([]);
    expect(checks.check(answer(2, end + 70_005, null, 'final'))).toEqual([]);
    expect(checks.outdated).toEqual({ times: 0, longestMs: 0 });
    expect(checks.check(answer(2, end + 80_010, null, 'final'))).toEqual([]);
    expect(checks.check(answer(2, end + 80_011, null, 'final')).join()).toMatch(/^a final number taken back/);
    expect(checks.outdated).toEqual({ times: 2, longestMs: 10_001 });
  });
});

describe('the weather', () => {
  it('allows a refusal to a read that it was under way beside, and demands one of a read that met nothing else', () => {
    let now = 0;
    const weather = createWeather(() => now);
    const refused = weather.mayRefuse();
    now = 10;
    const dark = weather.mustRefuse();
    expect([weather.mustHaveBeenRefused(9), weather.mustHaveBeenRefused(10)]).toEqual([false, true]);
    dark[Symbol.dispose]();
    expect(weather.mustHaveBeenRefused(10)).toBe(false);
    now = 20;
    refused[Symbol.dispose]();
    now = 30;
    expect([weather.mightHaveBeenRefused(20), weather.mightHaveBeenRefused(21)]).toEqual([true, false]);
  });
});

describe('rows of replicas', () => {
  const node = (name: string): AskedNode => ({ name, url: '' });
  const found = async (tables: Readonly<Record<string, Readonly<Record<string, string>>>>) =>
    await compareRows([[node('a'), node('b')]], async ({ name }, sql) => {
      if (sql.includes('system.tables')) return `${Object.keys(tables[name]!).join('\n')}\n`;
      return tables[name]![/FROM (\w+) FINAL/.exec(sql)![1]!]!;
    });

  it('are equal line by line, but for what each node works out itself', async () => {
    const same = { click_raw: '1\tx\n2\ty\n', ad_hour: '1\n' };
    expect(await found({ a: same, b: { ...same, ad_hour: '' } })).toEqual({
      rows: 2,
      tables: ['click_raw'],
      differences: [],
    });
  });

  it.each([
    ['another value', { click_raw: '1\tx\n' }, /^click_raw, a and b: 1 and 1 rows; .* 1\tx \| 1\ty$/],
    ['a row less', { click_raw: '' }, /0 and 1 rows/],
    ['a row twice', { click_raw: '1\ty\n1\ty\n' }, /2 and 1 rows/],
    ['no such table', {}, /^a has tables/],
  ] as const)('differ with %s', async (_, a, says) => {
    expect((await found({ a, b: { click_raw: '1\ty\n' } })).differences[0]).toMatch(says);
  });
});

describe('rows of shards', () => {
  const rowsOf = (...ids: readonly string[]): StoreRows => ({
    raw: ids.map(event_id => ({ click_id: event_id, event_id, ad_id: 'ad', clicked_at: minute })),
    ...{ adMinute: [], adMinuteByAd: [], quarantine: [], progress: [], restatements: [] },
  });
  const nodeOf = (name: string, shard: number, ...ids: readonly string[]) => {
    return {
      node: name,
      shard,
      rows: rowsOf(...ids),
      stored: new Map([
        ['clicks|0', 7 + shard],
        ['clicks|1', 9],
      ]),
    };
  };
  const log = {
    clicks: ['x', 'y'].map((event_id, partition) => ({
      partition,
      offset: 0,
      kind: '',
      line: JSON.stringify({ event_id }),
    })),
    ...{ aggregates: [], quarantine: [] },
  };
  const whole = (...nodes: readonly ReturnType<typeof nodeOf>[]) => ({ log, nodes });

  it('are one store for each set of replicas, with what the node of its shard has committed', () => {
    const all = stores(whole(nodeOf('a', 0, 'x'), nodeOf('b', 0, 'x'), nodeOf('c', 1, 'y'), nodeOf('d', 1, 'y')));
    expect(all.map(({ rows }) => rows.raw.map(({ event_id }) => event_id))).toEqual([
      ['x', 'y'],
      ['x', 'y'],
    ]);
    expect([...all[0]!.stored]).toEqual([
      ['clicks|0', 7],
      ['clicks|1', 9],
    ]);
  });

  it('are those of the log in their partitions, no less and no other', () => {
    expect(rawOfShards(whole(nodeOf('a', 0, 'x'), nodeOf('c', 1, 'y')))).toEqual([]);
    expect(rawOfShards(whole(nodeOf('a', 0), nodeOf('c', 1, 'y', 'x')))).toEqual([
      "raw of a: 1 of the log not there (x), 0 not its shard's ()",
      "raw of c: 0 of the log not there (), 1 not its shard's (x)",
    ]);
  });
});

it('takes a topology as shards x replicas, and none without a second replica', () => {
  const round = { shards: 2, replicas: 2 } as Parameters<typeof withTopology>[0];
  expect(withTopology(round, '1x3')).toEqual({ shards: 1, replicas: 3 });
  expect(() => withTopology(round, '2x1')).toThrow('--topology 2x1: must be shards x replicas');
});
