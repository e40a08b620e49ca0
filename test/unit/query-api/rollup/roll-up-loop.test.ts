import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { ClickHouse } from '../../../../infra/clickhouse/clickhouse.ts';
import { createRollUpLoop } from '../../../../query-api/jobs/rollup/roll-up-loop.ts';
import { clickHouseThatAnswers } from '../../../support/clickhouse-that-answers.ts';

const minuteMs = 60_000;
const finalUntil = Date.parse('2025-11-22T08:00:00Z');

/**
 * A store that recognizes blocks by the statement that makes them. When `fails` is true for the end of a minute, none of
 * its blocks can be made. When `waits` is true for it, it has a restatement that was announced and is never made.
 */
function storeOf({ first, fails, waits }: Record<'fails' | 'waits', (ends: number) => boolean> & { first: number }) {
  const made = new Map<string, object>();
  const key = (window: number, ends: number) => `${window} ${ends}`;
  const make = (window: number, at: number) => made.set(key(window, at), { window, at, n: 0 });
  const progress = {
    ...{ partition: 0, partitions: 1, position: 1, watermark: finalUntil, final_until: finalUntil },
    ...{ appended_at: finalUntil, received: 0, counted: 0, duplicates: 0, quarantined: 0, acknowledged: 0, missing: 0 },
    invalid: 0,
    ids_per_ad_from: null,
  };
  const told: { readonly window: number; readonly at: number; readonly n: number }[] = [];
  const filled: { readonly at: number }[] = [];
  for (let minute = first; minute < finalUntil; minute += minuteMs) {
    filled.push({ at: minute });
    if (waits(minute + minuteMs)) told.push({ window: 0, at: minute, n: 1 });
  }
  let looks = 0;
  const clickhouse: ClickHouse = {
    ...clickHouseThatAnswers(sql => {
      if (sql.includes('FROM partition_progress')) return [progress];
      if (sql.includes('AS listed')) return [];
      if (sql.includes('FROM most_clicked_ads')) {
        looks++;
        return [...told, ...made.values()];
      }
      // Of which minutes an announced restatement was not made. None ever is.
      if (sql.includes('applied < revised')) return told.map(({ at }) => ({ at }));
      if (sql.includes('SELECT DISTINCT')) return filled;
      if (sql.includes('AS at FROM ad_minute')) return [{ at: first }];
      return [];
    }),
    async command(sql, params = {}) {
      const [, window, ends] = /SELECT {(\w+):Int64}, toDateTime\({(\w+):Int64}, 'UTC'\),/.exec(sql) ?? [];
      if (window === undefined || ends === undefined) return;
      const at = Number(params[ends]) * 1_000;
      if (params[window] === 1 && fails(at)) throw new Error('takes too long');
      make(Number(params[window]), at);
    },
    insert: async (_table, ndjson) => {
      for (const line of String(ndjson).split('\n').filter(Boolean)) {
        const { window, ends } = JSON.parse(line);
        make(window, ends * 1_000);
      }
    },
  };
  const loop = createRollUpLoop({ clickhouse, log: pino({ level: 'silent' }) });
  return { loop, looks: () => looks, has: (window: number, ends: number) => made.has(key(window, ends)) };
}

const noBlock = () => false;

it('works out all other blocks although some always fail', async () => {
  const first = finalUntil - 60 * minuteMs;
  const isBad = (ends: number) => ends === first + 3 * minuteMs || ends === first + 4 * minuteMs;
  const { loop, has } = storeOf({ first, fails: isBad, waits: noBlock });
  await loop.turn();
  for (let ends = first + minuteMs; ends <= finalUntil; ends += minuteMs) {
    expect([ends, has(1, ends)]).toEqual([ends, !isBad(ends)]);
  }
});

it('continues with older stretches although many blocks of a newer one wait for a restatement that is never made', async () => {
  const first = finalUntil - 27 * 3_600_000;
  const inNewest = (ends: number) => ends > finalUntil - 20 * 3_600_000 && ends < finalUntil - 10 * 3_600_000;
  const { loop, has } = storeOf({ first, fails: noBlock, waits: inNewest });
  for (let i = 0; i < 400 && !has(1, first + minuteMs); i++) await loop.turn();
  expect(has(1, first + minuteMs)).toBe(true);
});

it('reads no more than progress while nothing has changed since it found nothing, until a restatement is reported', async () => {
  const { loop, looks } = storeOf({ first: finalUntil - 5 * minuteMs, fails: noBlock, waits: noBlock });
  for (let i = 0; i < 5; i++) await loop.turn();
  const settled = looks();
  for (let i = 0; i < 5; i++) expect(await loop.turn()).toBe(0);
  expect(looks()).toBe(settled);
  loop.wake();
  await loop.turn();
  expect(looks()).toBe(settled + 1);
});
