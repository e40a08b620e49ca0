import { describe, expect, it } from 'vitest';
import { Client } from '../../../infra/http-clients.ts';
import { createClickJudge, smallBodyBytes } from '../../../ingest/click-judge.ts';
import { clicksOf } from '../../support/clicks.ts';

const receivedAt = Date.parse('2026-03-01T12:00:00Z');
const posting = { receivedAt, isStrict: false };
const mib = 1 << 20;
const one = new Client('192.0.2.1');

/** Turns of others are given one by one. */
function setUp(maxWaitingBytes = 64 * mib, clientBudgetBytes = 64 * mib) {
  const turns: (() => void)[] = [];
  const { judge } = createClickJudge({
    maxItems: 10_000,
    maxWaitingBytes,
    clientBudgetBytes,
    othersTurn: () => new Promise<void>(resolve => turns.push(resolve)),
  });
  const done: string[] = [];
  /** Resolves to the ads that were accepted. */
  const post = async (name: string, body: string, client = one) => {
    const { taken } = await judge(client, [Buffer.from(body)], 'ndjson', posting, batch =>
      Promise.resolve(clicksOf(batch.lines).map(({ adId }) => adId)),
    );
    done.push(name);
    return await taken;
  };
  return { turns, done, post };
}

const settled = () => new Promise(resolve => setImmediate(resolve));
/** Takes several slices. */
const large = (ad: string) => `{"ad_id":"${ad}"}\n${'\n'.repeat(mib)}{"ad_id":"${ad}-last"}`;

describe('judging a body', () => {
  it('goes on with small ones between the slices of a large one, and neither has lines of the other', async () => {
    const { turns, done, post } = setUp();
    const first = post('large', large('l'));
    let smalls = 0;
    for (await settled(); turns.length > 0; await settled()) {
      expect(await post(`small ${smalls}`, `{"ad_id":"s${smalls}"}`)).toEqual([`s${smalls}`]);
      smalls++;
      turns.shift()?.();
    }
    expect(await first).toEqual(['l', 'l-last']);
    expect(smalls).toBeGreaterThanOrEqual(4);
    expect(done.at(-1)).toBe('large');
  });

  it('takes large ones one at a time, in the order in which they came', async () => {
    const { turns, done, post } = setUp();
    const posts = ['a', 'b', 'c'].map(name => post(name, large(name)));
    for (await settled(); turns.length > 0; await settled()) {
      expect(turns.length).toBe(1);
      turns.shift()?.();
    }
    expect(await Promise.all(posts)).toEqual(['a', 'b', 'c'].map(name => [name, `${name}-last`]));
    expect(done).toEqual(['a', 'b', 'c']);
  });

  it('refuses large ones beyond what may wait, and takes them again afterwards, but never refuses small ones', async () => {
    const { turns, post } = setUp(2.5 * mib);
    const posts = ['a', 'b'].map(name => post(name, large(name)));
    await expect(post('c', large('c'))).rejects.toMatchObject({ status: 503, code: 'busy', retryAfterS: 1 });
    expect(await post('small', '{"ad_id":"s"}')).toEqual(['s']);
    for (await settled(); turns.length > 0; await settled()) turns.shift()?.();
    await Promise.all(posts);
    const again = post('c', large('c'));
    for (await settled(); turns.length > 0; await settled()) turns.shift()?.();
    expect(await again).toEqual(['c', 'c-last']);
  });

  it('takes large ones of clients in turn: who has many waiting keeps nobody else waiting for them', async () => {
    const { turns, done, post } = setUp();
    const other = new Client('192.0.2.2');
    const posts = [...['a', 'b', 'c'].map(name => post(name, large(name))), post('other', large('other'), other)];
    for (await settled(); turns.length > 0; await settled()) turns.shift()?.();
    await Promise.all(posts);
    expect(done).toEqual(['a', 'b', 'other', 'c']);
  });

  it('refuses large ones of a client beyond its share, while there is room for others', async () => {
    const { turns, post } = setUp(64 * mib, 2.5 * mib);
    const other = new Client('192.0.2.2');
    const posts = ['a', 'b'].map(name => post(name, large(name)));
    await expect(post('c', large('c'))).rejects.toMatchObject({ status: 429, code: 'client_busy', retryAfterS: 1 });
    posts.push(post('other', large('other'), other));
    expect(await post('small', '{"ad_id":"s"}')).toEqual(['s']);
    for (await settled(); turns.length > 0; await settled()) turns.shift()?.();
    await Promise.all(posts);
    expect([one.heldBytes, other.heldBytes]).toEqual([0, 0]);
  });

  it('is not stopped by one that is no JSON, or for which nothing can be kept', async () => {
    const { judge } = createClickJudge({ maxItems: 10, maxWaitingBytes: mib, clientBudgetBytes: mib });
    const bodies = [' '.repeat(2 * smallBodyBytes), '{"ad_id":"a"}', '{"ad_id":"b"}'].map(text =>
      Buffer.from(text.padEnd(2 * smallBodyBytes)),
    );
    const takes = bodies.map((body, i) =>
      judge(one, [body], 'json', posting, ({ lines }) =>
        i === 1 ? Promise.reject(new Error('full')) : Promise.resolve(lines.count),
      ).then(({ taken }) => taken),
    );
    const outcomes = await Promise.allSettled(takes);
    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'invalid_json' } },
      { status: 'rejected', reason: { message: 'full' } },
      { status: 'fulfilled', value: 1 },
    ]);
  });

  it('waits for what is done with a batch without keeping the next one waiting', async () => {
    const { judge } = createClickJudge({ maxItems: 10, maxWaitingBytes: mib, clientBudgetBytes: mib });
    const body = Buffer.from('{"ad_id":"a"}'.padEnd(2 * smallBodyBytes));
    const never = await judge(one, [body], 'json', posting, () => new Promise<never>(() => undefined));
    expect(never.taken).toBeInstanceOf(Promise);
    const next = await judge(one, [body], 'json', posting, ({ lines }) => Promise.resolve(lines.count));
    expect(await next.taken).toBe(1);
  });
});
