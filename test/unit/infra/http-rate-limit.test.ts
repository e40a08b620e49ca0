import { describe, expect, it } from 'vitest';
import { Client } from '../../../infra/http-clients.ts';
import { createRateLimit } from '../../../infra/http-rate-limit.ts';

function setUp(perMinute = 60) {
  let at = 1_000;
  const limit = createRateLimit({ perMinute, unit: 'clicks', setting: 'LIMIT', now: () => at });
  const client = new Client('192.0.2.1');
  /** Whether a request that costs so much is admitted. */
  const ask = (units = 1, by = client) => {
    if (limit.admit(by)) return false;
    limit.charge(by, units - 1);
    return true;
  };
  const pass = (ms: number) => {
    at += ms;
  };
  return { limit, client, ask, pass };
}

describe('a rate limit', () => {
  it('lets what a minute allows come at once, and gives it back evenly', () => {
    const { ask, pass } = setUp();
    expect(Array.from({ length: 61 }, () => ask()).filter(Boolean)).toHaveLength(60);
    pass(999);
    expect(ask()).toBe(false);
    pass(1);
    expect([ask(), ask()]).toEqual([true, false]);
    pass(600_000);
    expect(Array.from({ length: 100 }, () => ask()).filter(Boolean)).toHaveLength(60);
  });

  it('counts what is asked for, not how often', () => {
    const one = setUp();
    const many = setUp();
    expect(one.ask(60)).toBe(true);
    for (let i = 0; i < 60; i++) expect(many.ask(1)).toBe(true);
    expect([one.ask(), many.ask()]).toEqual([false, false]);
  });

  it('has what was overdrawn made good before it goes on', () => {
    const { ask, pass, limit, client } = setUp();
    expect(ask(180)).toBe(true);
    expect(limit.admit(client)).toMatchObject({
      ...{ status: 429, code: 'rate_limited', retryAfterS: 121 },
      message: 'more than 60 clicks in a minute from 192.0.2.1 (LIMIT): wait 121 s',
    });
    pass(120_000);
    expect(ask()).toBe(false);
    pass(1_000);
    expect(ask()).toBe(true);
  });

  it('lets a client go on when it has waited as it was told', () => {
    const { limit, client, ask, pass } = setUp(7);
    ask(100);
    pass((limit.admit(client)?.retryAfterS ?? Number.NaN) * 1_000);
    expect(ask()).toBe(true);
  });

  it('is kept for each client apart', () => {
    const { ask } = setUp();
    expect([ask(60), ask()]).toEqual([true, false]);
    expect(ask(1, new Client('192.0.2.2'))).toBe(true);
  });

  it('of 0 is none', () => {
    const { ask } = setUp(0);
    expect([ask(1e9), ask(1e9)]).toEqual([true, true]);
  });
});
