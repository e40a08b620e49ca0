/** `adclicks` as a person starts it, against the whole pipeline on a real broker and a real ClickHouse. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { messageOf } from '../../infra/errors.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { adclicks, type Ended } from '../support/adclicks.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { quietPort } from '../support/quiet-port.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const directory = mkdtempSync(join(tmpdir(), 'adclicks-cli-'));
let pipeline: TestPipeline;
/** Of all clicks here. */
let clickedAt: number;
let range: string[];

beforeAll(async () => {
  pipeline = await startTestPipeline({ CONSERVATION_INTERVAL_MS: '5000', ALLOWED_LATENESS_MS: '600000' });
  const from = Math.floor(Date.now() / minuteMs) * minuteMs;
  // The last moment of the minute, which a wrong border loses. It may be ahead, as clocks of clients are.
  clickedAt = from + minuteMs - 1;
  range = ['--from', `${from}`, '--to', new Date(from + minuteMs).toISOString()];
});
afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const run = (...args: readonly string[]): Promise<Ended> =>
  adclicks({ ADCLICKS_QUERY_API_URL: pipeline.queryApi.url, ADCLICKS_INGEST_URL: pipeline.ingest.url }, ...args);

/** Polls a command until its answer fits. The last answer is in the error. */
async function answer<T>(what: string, args: readonly string[], fits: (answer: T) => boolean): Promise<T> {
  let last: Ended | undefined;
  const poll = async () => {
    last = await run(...args, '--json');
    const parsed = last.stdout === '' ? undefined : (JSON.parse(last.stdout) as T);
    return parsed !== undefined && fits(parsed) && parsed;
  };
  try {
    return await eventually(what, poll);
  } catch (error) {
    throw new Error(`${messageOf(error)}; last answer: ${JSON.stringify(last)}`, { cause: error });
  }
}
const counted = (ad: string, count: number) =>
  answer<{ count: number; duplicates: number }>(
    `${count} clicks of ${ad}`,
    ['count', ad, ...range],
    found => found.count === count,
  );

/** Writes lines to the log that ingest would not. */
async function writeToLog(...lines: readonly string[]): Promise<void> {
  const kafka = createKafka(
    loadConfig(KafkaConfig, { KAFKA_BROKERS: pipeline.broker.brokers }),
    'foreign',
    createLog('test', 'error'),
  );
  await using producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
  await producer.send(
    'clicks',
    lines.map(value => ({ partition: 2, value })),
  );
}

describe('adclicks', () => {
  it('feeds a file and shows its counts, for people and for programs', async () => {
    const file = join(directory, 'clicks.ndjson');
    const lines = ['a', 'a', 'a', 'b'].map((ad, i) => ({
      ad_id: `cli-${ad}`,
      event_id: `c${i}`,
      clicked_at: clickedAt,
    }));
    writeFileSync(file, lines.map(line => JSON.stringify(line)).join('\n'));
    const fed = await run('feed', file, '--state', join(directory, 'state.json'));
    expect([fed.code, fed.stdout]).toEqual([0, `${file}: 4 rows = 4 accepted + 0 rejected\n`]);
    await counted('cli-a', 3);
    await counted('cli-b', 1);

    const both = await run('count', 'cli-a', 'cli-b', ...range);
    expect([both.code, both.stdout.split('\n').slice(1)]).toEqual([
      0,
      [
        'ad     net  gross  invalid  duplicates  late  state',
        'cli-a    3      3        0           0     0  provisional',
        'cli-b    1      1        0           0     0  provisional',
        '',
      ],
    ]);
    const list = JSON.parse((await run('count', 'cli-a', 'cli-b', ...range, '--json')).stdout);
    expect(list).toMatchObject([
      { ad_id: 'cli-a', count: 3 },
      { ad_id: 'cli-b', count: 1 },
    ]);

    expect((await run('top', '1', ...range)).stdout).toMatch(
      /\nrank {2}ad {5}net {2}gross {2}invalid\n {3}1 {2}cli-a {4}3 {6}3 {8}0\n$/,
    );
    const { series } = JSON.parse((await run('series', 'cli-b', 'cli-a', ...range, '--json')).stdout);
    expect(series).toMatchObject([
      { ad_id: 'cli-b', count: 1 },
      { ad_id: 'cli-a', count: 3 },
    ]);
    expect((await run('series', ...range)).stdout).toMatch(/\ntotal +4 {2}provisional\n$/);
  });

  it('shows what became of a click, and denies none that may only not be stored yet', async () => {
    const trail = await eventually('the click is in raw', async () => {
      const { code, stdout } = await run('click', 'cli-a', 'c0', '--json');
      return code === 0 && JSON.parse(stdout);
    });
    expect(trail).toMatchObject({ event_id: 'c0', copies: [{ ad_id: 'cli-a', outcome: 'counted' }] });
    expect((await run('click', 'cli-a', 'c0')).stdout).toMatch(/^c0: 1 copy\noutcome .*\ncounted .* cli-a /);
    const none = await run('click', 'cli-b', 'c0');
    expect([none.code, none.stdout, none.stderr]).toEqual([1, '', expect.stringContaining('it is not stored yet')]);
  });

  it('feeds what it has exported again: each click is a copy, whatever its id is, and none is another', async () => {
    const file = join(directory, 'marked.csv');
    const ids = ['-Vk3x9', "'own", '=1+1', ' b ', '"q", x', '한😀'];
    const rows = ids.map(id => `${clickedAt},cli-marked,"${id.replaceAll('"', '""')}"\n`);
    writeFileSync(file, `clicked_at,ad_id,event_id\n${rows.join('')}`);
    expect(await run('feed', file, '--state', `${file}.json`)).toMatchObject({
      code: 0,
      stdout: `${file}: 6 rows = 6 accepted + 0 rejected\n`,
    });
    await counted('cli-marked', ids.length);
    const [, from, , to] = range;
    for (const format of ['csv', 'ndjson']) {
      const exported = join(directory, `exported.${format}`);
      let last = '';
      await eventually(
        () => `all clicks are in raw; last export: ${last}`,
        async () => {
          const query = `from=${from}&to=${to}&ad_id=cli-marked&format=${format}`;
          last = await (await fetch(`${pipeline.queryApi.url}/v1/exports/clicks?${query}`)).text();
          writeFileSync(exported, last);
          return ids.every(id => last.includes(format === 'csv' ? id.replaceAll('"', '""') : JSON.stringify(id)));
        },
      );
      const fed = await run('feed', exported, '--state', `${exported}.json`);
      expect([fed.code, fed.stderr]).toEqual([0, expect.not.stringContaining('no field of a click')]);
    }
    const found = await answer<{ count: number; duplicates: number }>(
      'all exported clicks have come as copies',
      ['count', 'cli-marked', ...range],
      // The second export has the copies of the first.
      ({ duplicates }) => duplicates >= 2 * ids.length,
    );
    expect(found.count).toBe(ids.length);
  });

  it('shows a status that balances', async () => {
    const { code, stdout } = await run('status');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/counted \+ .* balanced\n/)]);
    const status = JSON.parse((await run('status', '--json')).stdout);
    expect(status).toMatchObject({ conservation: { balanced: true } });
  });

  it('tails live events: lines for people, JSON lines for programs', async () => {
    const { code, stdout } = await run('tail', '--events', '2', '--json');
    const events = stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line));
    const event = { at: expect.any(String), kafka: 'up', totals: expect.any(Object) };
    expect([code, events]).toMatchObject([0, [event, event]]);
    expect((await run('tail', '--events', '1')).stdout).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z {2}\d+\/s {2}\d+ counted {2}/,
    );
  });

  it('tries quarantined lines again, mended, and counts each once however often', async () => {
    await writeToLog(
      JSON.stringify({ banner: 'cli-mended', time: clickedAt, event_id: 'm-1' }),
      JSON.stringify({ banner: 'cli-mended', time: clickedAt }),
      `{'ad_id':'cli-fixed','event_id':'x-1','clicked_at':${clickedAt}}`,
    );
    type List = { reasons: { reason: string; lines: number }[] };
    await answer<List>('three lines in quarantine', ['quarantine', 'list'], ({ reasons }) =>
      reasons.some(({ reason, lines }) => reason === 'malformed' && lines === 3),
    );
    const listed = await run('quarantine', 'list', '--reason', 'malformed');
    expect(listed.stdout).toMatch(
      /^reason +lines +counted since +waiting +not counted\nmalformed +3 +0 +0 +3\n\npartition\/offset\/line +arrived at +reason +outcome +ad +detail +line\n/,
    );
    const exported = (await run('quarantine', 'export', '--reason', 'malformed')).stdout.trimEnd().split('\n');
    expect(exported.map(line => JSON.parse(line).partition)).toEqual([2, 2, 2]);
    const waiting = await run('quarantine', 'export', '--reason', 'malformed', '--outcome', 'waiting');
    expect([waiting.code, waiting.stdout]).toEqual([0, '']);

    const retry = ['quarantine', 'retry', '--reason', 'malformed', '--map', 'ad_id=banner,clicked_at=time'];
    const first = await run(...retry, '--json');
    expect([first.code, JSON.parse(first.stdout)]).toMatchObject([
      1,
      { lines: 3, accepted: 2, refused: [{ problem: 'the line is not a JSON object' }] },
    ]);
    await counted('cli-mended', 2);
    expect((await run(...retry)).stdout).toMatch(/^3 lines: 2 accepted, 1 refused\n/);
    expect(
      await answer<{ count: number; duplicates: number }>(
        'copies',
        ['count', 'cli-mended', ...range],
        found => found.duplicates === 2,
      ),
    ).toMatchObject({ count: 2 });

    const fix = `sed -e s/\\'/\\"/g -e s/banner/ad_id/ -e s/time/clicked_at/`;
    const fixed = await run('quarantine', 'retry', '--reason', 'malformed', '--fix', fix);
    expect([fixed.code, fixed.stdout]).toEqual([0, '3 lines: 3 accepted, 0 refused\n']);
    await counted('cli-fixed', 1);
    expect(await counted('cli-mended', 2)).toMatchObject({ count: 2 });
  });

  it('shows which lines ingest refuses again, and refuses those that are counted by themselves', async () => {
    await writeToLog(JSON.stringify({ ad_id: 'cli-future', event_id: 'f', clicked_at: clickedAt + 3_600_000 }));
    await answer<{ lines: unknown[] }>(
      'a line from the future',
      ['quarantine', 'list', '--reason', 'future'],
      ({ lines }) => lines.length === 1,
    );
    const retried = await run('quarantine', 'retry', '--reason', 'future', '--ad', 'cli-future');
    expect([retried.code, retried.stdout]).toEqual([
      1,
      expect.stringMatching(/^1 line: 0 accepted, 1 refused\n.*\n2\/\d+\/0 +clicked_at .*5 minutes ahead/),
    ]);
    const late = await run('quarantine', 'retry', '--reason', 'too_late');
    expect([late.code, late.stderr]).toEqual([2, expect.stringContaining('restated by themselves')]);
  });

  it('replays and reconciles a range without a difference', async () => {
    const to = clickedAt - (clickedAt % minuteMs) - 15 * minuteMs;
    const past = ['--from', `${to - 5 * minuteMs}`, '--to', `${to}`];
    const replay = await eventually('the range is final', async () => {
      const ended = await run('replay', ...past);
      return !ended.stderr.includes('409') && ended;
    });
    expect([replay.code, replay.stdout]).toEqual([
      0,
      expect.stringMatching(/\ndone: 5 minutes, .* 0 counts differ\n$/),
    ]);
    const compared = await run('reconcile', ...past, '--json');
    expect([compared.code, JSON.parse(compared.stdout)]).toMatchObject([
      0,
      { state: 'done', result: { cells_differing: 0 } },
    ]);
  });

  it('takes every time that it prints, as each of its options and as the services do', async () => {
    const printed = await Promise.all([run('status'), run('count', 'cli-a', ...range), run('jobs'), run('partitions')]);
    const times = new Set(printed.flatMap(({ stdout }) => stdout.match(/\d{4}-\d\d-\d\dT[\d:.]+Z/g) ?? []));
    expect(times.size).toBeGreaterThan(2);
    for (const time of times) {
      const to = new Date(Date.parse(time) + minuteMs).toISOString();
      for (const args of [['count', 'cli-a'], ['top'], ['series', 'cli-a']]) {
        const { code, stderr } = await run(...args, '--from', time, '--to', to);
        expect([code, stderr.replaceAll(/^adclicks: --\w+ \S+ is rounded (up|down) to \S+\n/gm, '')]).toEqual([0, '']);
      }
      const askedAt = Date.now();
      const { status } = await fetch(`${pipeline.queryApi.url}/v1/ads/cli-a/aggregated_count?as_of=${time}`);
      if (Date.parse(time) <= askedAt) expect(status).toBe(200);
      else if (Date.parse(time) > Date.now()) expect(status).toBe(400);
    }
  });

  it('says in one line what is wrong, and ends with a code that tells it', async () => {
    const nowhere = `http://127.0.0.1:${await quietPort()}`;
    const away = await run('status', '--url', nowhere);
    expect(away).toEqual({
      code: 1,
      stdout: '',
      stderr: `adclicks status: ${nowhere} does not answer (ECONNREFUSED): is it running?\n`,
    });
    const usage = await run('top', '--from', 'yesterday', '--to', 'now');
    expect(usage).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^adclicks top: from is "yesterday", but must be .*\n$/),
    });
    expect(await run('count')).toMatchObject({ code: 2, stdout: '' });
    expect(await run('replay', '--job', '0'.repeat(26))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('404'),
    });
    expect((await run('--help')).stdout).toContain('Exit codes:');
  });
});
