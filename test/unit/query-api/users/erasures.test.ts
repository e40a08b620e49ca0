import { createSecretKey } from 'node:crypto';
import fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import type { Http } from '../../../../infra/http.ts';
import type { Erasure } from '../../../../ingest/privacy/erasure-book.ts';
import { erasedUntil } from '../../../../ingest/privacy/erasure-record.ts';
import { hashedUserId } from '../../../../ingest/privacy/personal-data.ts';
import { createKeptForms } from '../../../../query-api/http/kept-forms.ts';
import type { NodeErasure } from '../../../../query-api/log/erasure-log.ts';
import { routeErasures } from '../../../../query-api/routes/users/erasures.ts';
import type { StoredFilter } from '../../../../query-api/store/filters/filter-store.ts';

const now = Date.UTC(2026, 10, 29, 12);
const day = 86_400_000;
const key = createSecretKey('k'.repeat(43), 'utf8');
const id = 'a'.repeat(32);
const erasure: Erasure = { id, at: now, persons: 1, parts: [`${id}/0`], isWhole: true, names: () => false };
const node = (name: string, state: NodeErasure['state']): NodeErasure => ({
  ...{ node: name, state, doneAt: state === 'done' ? now + 5 : undefined, why: undefined },
});

interface Given {
  readonly nodes?: readonly NodeErasure[];
  readonly filters?: readonly (Pick<StoredFilter, 'id' | 'definition'> & Partial<StoredFilter>)[];
  readonly room?: number;
  readonly isWhole?: boolean;
  /** That are shown only when the erasure is in the log. */
  readonly isAway?: (begun: number) => boolean;
  readonly late?: readonly Pick<StoredFilter, 'id' | 'definition' | 'updatedAt'>[];
}

async function app({
  nodes = [node('a', 'done')],
  filters = [],
  room = 1_000,
  isWhole = true,
  late = [],
  isAway = () => false,
}: Given = {}) {
  const begun: (readonly string[])[] = [];
  const http = fastify() as unknown as Http;
  routeErasures(http, {
    erasures: {
      room: async () => room,
      async begin(texts, persons) {
        begun.push(texts);
        return { ...erasure, persons, isWhole, names: text => texts.includes(text) };
      },
      get: async asked => (asked === id ? { ...erasure, isWhole, names: text => text === 'u-17' } : undefined),
      nodesOf: async () => nodes,
      logKeptUntil: async at =>
        new Map([
          ['clicks', at + 8 * day],
          ['quarantine', undefined],
        ] as const),
    },
    filters: {
      async list(after) {
        if (isAway(begun.length)) throw new Error('ClickHouse is away');
        return after === '' ? ([...filters, ...(begun.length > 0 ? late : [])] as StoredFilter[]) : [];
      },
    },
    keptForms: createKeptForms([key]),
    now: () => now,
  });
  const ask = async (method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object) => {
    const response = await http.inject({ method, url, ...(payload && { payload }) });
    return { status: response.statusCode, headers: response.headers, body: response.json() };
  };
  return { begun, ask };
}

describe('an erasure', () => {
  it('is of all texts under which a query would find the person', async () => {
    const { begun, ask } = await app();
    expect((await ask('DELETE', '/v1/users/u-17')).status).toBe(202);
    const salts = ['', ...Array.from({ length: 36 }, (_, i) => new Date(now - i * day).toISOString().slice(0, 10))];
    expect(begun[0]).toEqual(expect.arrayContaining(['u-17', ...salts.map(salt => hashedUserId(key, 'u-17', salt))]));
  });

  it('is refused, and begins nothing, where an id is no text: a false would become one', async () => {
    const { begun, ask } = await app();
    for (const wrong of [[false], ['u', 7], 'u', [null]])
      expect((await ask('POST', '/v1/erasures', { user_ids: wrong })).status).not.toBe(202);
    expect(begun).toEqual([]);
  });

  it('is answered with where it can be followed, and until when the log has the clicks', async () => {
    const { ask } = await app();
    expect(await ask('POST', '/v1/erasures', { user_ids: ['u-17', 'u-18', 'u-17'] })).toMatchObject({
      status: 202,
      headers: { location: `/v1/erasures/${id}`, 'cache-control': 'no-store' },
      body: {
        ...{ id, state: 'done', persons: 2, asked_at: '2026-11-29T12:00:00.000Z' },
        log: [
          { topic: 'clicks', kept_until: '2026-12-07T12:00:00.000Z' },
          { topic: 'quarantine', kept_until: null },
        ],
      },
    });
  });

  it.each([
    ['done', [node('a', 'done'), node('b', 'done')], true],
    ['running', [node('a', 'done'), node('b', 'running')], true],
    ['running', [node('a', 'done'), node('b', 'away')], true],
    ['incomplete', [node('a', 'running')], false],
  ] as const)('is %s only when every node says so, and all of it is in the log', async (state, nodes, isWhole) => {
    const { ask } = await app({ nodes, isWhole });
    expect((await ask('GET', `/v1/erasures/${id}`)).body).toMatchObject({ state });
  });

  it('is refused while a stored filter names the person, in whatever form, and begins nothing', async () => {
    const hashed = hashedUserId(key, 'u-17', '');
    for (const definition of [{ user_ids: { out: ['bot-*', 'u-17'] } }, { user_ids: { in: [hashed] } }]) {
      const { begun, ask } = await app({ filters: [{ id: 'mine', definition }] });
      expect((await ask('DELETE', '/v1/users/u-17')).body).toMatchObject({ message: expect.stringContaining('mine') });
      expect(begun).toEqual([]);
    }
    const { ask } = await app({ filters: [{ id: 'mine', definition: { user_ids: { out: ['u-1*', 'u-18'] } } }] });
    expect((await ask('DELETE', '/v1/users/u-17')).status).toBe(202);
  });

  it('names the filter that was stored between the look and its record, and is not done while there is one', async () => {
    const hashed = hashedUserId(key, 'u-17', '');
    const definition = { user_ids: { out: [hashed, 'u-1*'] } };
    const { begun, ask } = await app({ late: [{ id: 'faster', definition, updatedAt: now + 60_000 }] });
    const answer = await ask('DELETE', '/v1/users/u-17');
    expect(answer).toMatchObject({ status: 202, body: { state: 'running', filters: ['faster'] } });
    expect(begun).toHaveLength(1);
    const plain = { user_ids: { in: ['u-18', 'u-17'] } };
    const { ask: askLater } = await app({ filters: [{ id: 'faster', definition: plain, updatedAt: now }] });
    expect((await askLater('GET', `/v1/erasures/${id}`)).body).toMatchObject({ state: 'running', filters: ['faster'] });
  });

  it('is done though a filter names the person that was stored later, about new clicks, or names another', async () => {
    const of = (userId: string, updatedAt: number) => ({
      id: userId,
      definition: { user_ids: { in: [userId] } },
      updatedAt,
    });
    const { ask } = await app({ filters: [of('u-17', erasedUntil(now)), of('u-18', now), of('u-1*', now)] });
    expect((await ask('GET', `/v1/erasures/${id}`)).body).toMatchObject({ state: 'done', filters: [] });
  });

  it('is answered when the filters cannot be read, once it has begun, and not begun before', async () => {
    const { ask, begun } = await app({ isAway: begun => begun > 0 });
    expect(await ask('DELETE', '/v1/users/u-17')).toMatchObject({
      status: 202,
      body: { state: 'running', filters: null },
    });
    expect(begun).toHaveLength(1);
    const away = await app({ isAway: () => true });
    expect((await away.ask('DELETE', '/v1/users/u-17')).status).toBe(500);
    expect(away.begun).toEqual([]);
  });

  it('begins after those before it have, and is refused behind many', async () => {
    const { ask, begun } = await app();
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask('DELETE', '/v1/users/u-17')));
    expect([answers.filter(({ status }) => status === 202).length, begun.length]).toEqual([33, 33]);
  });

  it('is refused when there is no room, and unknown when it was never asked for', async () => {
    const { begun, ask } = await app({ room: 3 });
    expect((await ask('DELETE', '/v1/users/u-17')).body).toMatchObject({
      message: expect.stringContaining('at most 3'),
    });
    expect(begun).toEqual([]);
    expect((await ask('GET', `/v1/erasures/${'b'.repeat(32)}`)).body).toMatchObject({
      message: expect.stringContaining('no erasure with this id'),
    });
  });
});
