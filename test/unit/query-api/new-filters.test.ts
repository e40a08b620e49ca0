/** The limit of stored filters, over a log and a ClickHouse that shows what is in it as soon as a sink has copied it. */
import { describe, expect, it } from 'vitest';
import { Retryable } from '../../../infra/errors.ts';
import { Problem } from '../../../infra/problem.ts';
import { createNewFilters } from '../../../query-api/routes/filters/new-filters.ts';
import { maxFilters, type StoredFilter } from '../../../query-api/store/filters/filter-store.ts';

const definition = { countries: { in: ['KR'] } };

function setUp(stored: number) {
  const log = new Set<string>();
  const shown = new Set(Array.from({ length: stored }, (_, i) => `old-${i}`));
  const state = { sinkRuns: true, logAnswers: true, atMs: 0 };
  const copy = () => {
    if (state.sinkRuns) for (const id of log) shown.add(id);
  };
  const put = async (id: string): Promise<StoredFilter> => {
    await new Promise(resolve => setImmediate(resolve));
    if (!state.logAnswers) throw new Retryable('no answer');
    log.add(id);
    copy();
    if (!shown.has(id)) throw new Problem(503, 'unavailable', 'not visible yet');
    return { id, definition, createdAt: 0, updatedAt: 0 };
  };
  const filters = { put, has: async (id: string) => shown.has(id), count: async () => shown.size };
  /** Of one query API. */
  const api = () => {
    const putNew = createNewFilters({ filters, now: () => 0, clock: () => state.atMs });
    return async (...ids: readonly string[]) => {
      const asked = await Promise.allSettled(ids.map(id => putNew(id, definition)));
      return asked.map(each => (each.status === 'fulfilled' ? 'stored' : (each.reason.code ?? each.reason.message)));
    };
  };
  return { log, shown, state, api, copy };
}

const ids = (name: string, n: number) => Array.from({ length: n }, (_, i) => `${name}-${i}`);

describe('new filters', () => {
  it('that are stored at the same moment stop at the limit, and two processes exceed it by one', async () => {
    const { shown, api } = setUp(maxFilters - 3);
    const said = await Promise.all([api()(...ids('a', 30)), api()(...ids('b', 30))]);
    expect(shown.size).toBeLessThanOrEqual(maxFilters + 1);
    expect(said.flat().filter(each => each === 'stored')).toHaveLength(shown.size - (maxFilters - 3));
    expect(new Set(said.flat())).toEqual(new Set(['stored', 'too_many_filters']));
  });

  it('may take an id that was used before, whatever number there is', async () => {
    const { api } = setUp(maxFilters);
    expect(await api()('old-7', 'new')).toEqual(['stored', 'too_many_filters']);
  });

  it('wait for one that is in the log and not shown, but for itself', async () => {
    const { log, state, api, copy } = setUp(0);
    const ask = api();
    state.sinkRuns = false;
    expect(await ask(...ids('a', 20))).toEqual(ids('a', 20).map(() => 'unavailable'));
    expect([...log]).toEqual(['a-0']);
    state.atMs = 3_600_000;
    expect([await ask('a-0', 'a-1'), log.size]).toEqual([['unavailable', 'unavailable'], 1]);
    state.sinkRuns = true;
    copy();
    expect(await ask('a-1', 'a-2')).toEqual(['stored', 'stored']);
  });

  it('wait for a minute for one of which the log has not said whether it has it', async () => {
    const { state, api } = setUp(0);
    const ask = api();
    state.logAnswers = false;
    expect(await ask('a')).toEqual(['no answer']);
    state.logAnswers = true;
    expect(await ask('b')).toEqual(['unavailable']);
    state.atMs = 60_000;
    expect(await ask('b')).toEqual(['stored']);
  });

  it('that wait for others have a limit', async () => {
    const { api } = setUp(0);
    const said = await api()(...ids('a', 40));
    expect([said.filter(each => each === 'stored').length, said.at(-1)]).toEqual([33, 'busy']);
  });
});
