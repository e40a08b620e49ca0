import { describe, expect, it } from 'vitest';
import { rateLimitFields } from '../../../../infra/quotas/rate-limit-fields.ts';

describe('the fields of a quota (draft-ietf-httpapi-ratelimit-headers-10)', () => {
  it('say policy, quota, window, what is left and when there is more', () => {
    expect(
      rateLimitFields({ policy: 'key-clicks', quota: 50.5, ownUnit: 'clicks', windowS: 9.2, remaining: -3, resetS: 2 }),
    ).toEqual({
      'ratelimit-policy': '"key-clicks";q=50;w=10;adclicks-unit="clicks"',
      ratelimit: '"key-clicks";r=0;t=2',
    });
  });

  it('have the units of the draft where it knows them, and integers of at most 15 digits', () => {
    expect(rateLimitFields({ policy: 'p', quota: 1e18, unit: 'content-bytes', remaining: 7.9 })).toEqual({
      'ratelimit-policy': '"p";q=999999999999999;qu="content-bytes"',
      ratelimit: '"p";r=7',
    });
  });
});
