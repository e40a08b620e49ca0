import { describe, expect, it } from 'vitest';
import { KeyQuotas } from '../../../../infra/key-quotas/key-quotas.ts';
import type { Key } from '../../../../infra/keys/key-book.ts';
import type { Problem } from '../../../../infra/problem.ts';
import { type QuotaShares, wholeQuotas } from '../../../../infra/quotas/quota-shares.ts';
import type { Quotas } from '../../../../infra/quotas/quotas.ts';
import { keysInMemory } from '../../../support/api-keys.ts';

const defaults: Quotas = {
  ...{ clicks_per_second: 100, burst_seconds: 10, bytes_in_flight: 1_000, connections: 2 },
  ...{ open_jobs: 2, exports: 1, live_listeners: 2, raw_read_seconds_per_minute: 60 },
};

function keyWith(quotas = {}): Key {
  const keys = keysInMemory();
  const text = keys.add({ scopes: ['ingest'], quotas });
  return keys.book.get(text.slice(9, 25))!;
}

function setUp(shares: QuotaShares = wholeQuotas) {
  let atMs = 0;
  const quotas = new KeyQuotas({ defaults, shares, now: () => atMs });
  const post = (key: Key, clicks: number) => {
    try {
      quotas.admitClicks(key);
      quotas.takeClicks(key, clicks - 1);
      return 'taken';
    } catch (error) {
      return error as Problem;
    }
  };
  return { quotas, post, pass: (ms: number) => (atMs += ms) };
}

describe('the clicks of a key', () => {
  it('weigh by click: a batch of a thousand uses up what a thousand posts use up', () => {
    const [one, many] = [setUp(), setUp()];
    const key = keyWith();
    expect(one.post(key, 1_000)).toBe('taken');
    for (let i = 0; i < 1_000; i++) expect(many.post(key, 1)).toBe('taken');
    expect([one.post(key, 1), many.post(key, 1)]).toEqual(Array(2).fill(expect.objectContaining({ status: 429 })));
  });

  it('are refused with the time after which they are taken, and what the quota is', () => {
    const { post, pass } = setUp();
    const key = keyWith();
    post(key, 1_500);
    expect(post(key, 1)).toMatchObject({
      ...{ status: 429, code: 'key_rate_limited', retryAfterS: 6 },
      message: `API key ${key.id} may use 100 clicks per second and 1000 at once (KEY_CLICKS_PER_SECOND): wait 6 s`,
      limit: { policy: 'key-clicks', quota: 1_000, windowS: 10, remaining: -500, resetS: 6 },
    });
    pass(5_000);
    expect(post(key, 1)).toMatchObject({ retryAfterS: 1 });
    pass(1_000);
    expect(post(key, 1)).toBe('taken');
  });

  it('go by the quota of the key itself if it has one, as soon as it has', () => {
    const { post } = setUp();
    const key = keyWith({ clicks_per_second: 5, burst_seconds: 1 });
    expect([post(key, 5), post(key, 1)]).toEqual(['taken', expect.objectContaining({ status: 429 })]);
    expect(post({ ...key, quotas: { clicks_per_second: 0 } }, 1_000_000)).toBe('taken');
  });

  it('are taken whole or refused whole when others have emptied the bucket between a request and its clicks', () => {
    const { quotas } = setUp();
    const key = keyWith();
    for (let i = 0; i < 3; i++) quotas.admitClicks(key);
    quotas.takeClicks(key, 5_000);
    expect(() => quotas.takeClicks(key, 9)).toThrow(/wait 41 s/);
    expect(() => quotas.takeClicks(key, 0)).not.toThrow();
  });

  it('are as many as the share of this process, and one at least', () => {
    const { post, pass } = setUp({ shareOf: () => 0.25, isAlone: () => false });
    const key = keyWith();
    // A process that has just met a key does not know what the others have let it use: a second of its share.
    expect([post(key, 25), post(key, 1)]).toEqual(['taken', expect.objectContaining({ retryAfterS: 1 })]);
    pass(3_600_000);
    expect([post(key, 250), post(key, 1)]).toEqual(['taken', expect.objectContaining({ status: 429 })]);
    const small = keyWith({ clicks_per_second: 1, burst_seconds: 1 });
    expect(post(small, 1)).toBe('taken');
  });

  it('of one key do not count for another', () => {
    const { post } = setUp();
    expect([post(keyWith(), 5_000), post(keyWith(), 1)]).toEqual(['taken', 'taken']);
  });

  it('are told to others as what is asked for, refused ones too', () => {
    const { quotas, post } = setUp();
    const key = keyWith();
    for (let i = 0; i < 20; i++) post(key, 100);
    expect(quotas.demands(1_000).get(key.id)).toBeCloseTo(2_000);
    expect(quotas.demands(1_000).get(key.id)).toBeCloseTo(1_400);
    for (let i = 0; i < 60; i++) quotas.demands(1_000);
    expect(quotas.demands(1_000).size).toBe(0);
  });
});

describe('what a key holds', () => {
  it('is limited, is given back, and may be one thing of any size', () => {
    const { quotas } = setUp();
    const key = keyWith();
    const release = quotas.hold(key, 'bytes_in_flight', 5_000);
    expect(() => quotas.hold(key, 'bytes_in_flight', 1)).toThrow(
      /has used up its 1000 bytes .* \(KEY_BYTES_IN_FLIGHT\)/,
    );
    release();
    quotas.hold(key, 'bytes_in_flight', 600);
    quotas.hold(key, 'bytes_in_flight', 400);
    expect(() => quotas.hold(key, 'bytes_in_flight', 1)).toThrow(expect.objectContaining({ code: 'key_busy' }));
  });

  it('is limited by the share of this process', () => {
    const { quotas } = setUp({ shareOf: () => 0.5, isAlone: () => false });
    const key = keyWith({ live_listeners: 4 });
    for (let i = 0; i < 2; i++) quotas.hold(key, 'live_listeners', 1);
    expect(() => quotas.hold(key, 'live_listeners', 1)).toThrow(/used up its 4 listeners, of which 2 in this process/);
  });
});

describe('seconds of raw reads', () => {
  it('are charged when they are over, and the next read waits until they are made good', () => {
    const { quotas, pass } = setUp();
    const key = keyWith();
    quotas.admitRawRead(key);
    quotas.chargeRawRead(key, 75);
    expect(() => quotas.admitRawRead(key)).toThrow(expect.objectContaining({ code: 'key_raw_reads', retryAfterS: 16 }));
    pass(16_000);
    expect(() => quotas.admitRawRead(key)).not.toThrow();
  });
});

describe('a key at its quota', () => {
  it('is reported with how long it has been there, until it is refused nothing for a minute', () => {
    const { quotas, post, pass } = setUp();
    const key = keyWith();
    post(key, 1_000_000);
    expect(quotas.longestAtQuota('clicks_per_second')).toBeUndefined();
    for (let i = 0; i < 31; i++) {
      post(key, 1);
      pass(30_000);
    }
    expect(quotas.longestAtQuota('clicks_per_second')).toMatchObject({ key: { id: key.id }, ms: 900_000 });
    pass(31_000);
    expect(quotas.longestAtQuota('clicks_per_second')).toBeUndefined();
  });
});
