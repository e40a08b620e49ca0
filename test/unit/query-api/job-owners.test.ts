import { describe, expect, it } from 'vitest';
import { KeyQuotas } from '../../../infra/key-quotas/key-quotas.ts';
import { quotasOf } from '../../../infra/quotas/config.ts';
import { wholeQuotas } from '../../../infra/quotas/quota-shares.ts';
import { createJobOwners, type JobOwner } from '../../../query-api/routes/jobs/job-owners.ts';
import { type Job, newJob } from '../../../query-api/store/jobs/job.ts';
import { keysInMemory } from '../../support/api-keys.ts';

const asked = () => newJob({ kind: 'replay', reason: 'replay', apply: false, from: 0, to: 60_000 }, Date.now());

function setUp() {
  const states = new Map<string, Job>();
  let atMs = 0;
  const owners = createJobOwners({
    store: { get: async id => states.get(id) },
    quotas: new KeyQuotas({ defaults: quotasOf({ KEY_OPEN_JOBS: 2 }), shares: wholeQuotas }),
    maxPerClient: 3,
    now: () => atMs,
  });
  const keys = keysInMemory();
  const key = (name: string) => keys.book.get(keys.add({ scopes: ['operate'], label: name }).slice(9, 25));
  const ask = async (owner: JobOwner) => {
    await owners.check(owner);
    const job = asked();
    owners.add(owner, job);
    return (state: Job['state']) => states.set(job.id, { ...job, state });
  };
  return { ask, key, pass: (ms: number) => (atMs += ms) };
}

describe('open jobs', () => {
  it('of one key are limited, from whatever addresses they are asked for, until one has ended', async () => {
    const { ask, key } = setUp();
    const mine = key('mine');
    const end = await ask({ client: { network: '192.0.2.1' }, key: mine });
    await ask({ client: { network: '192.0.2.2' }, key: mine });
    const third = { client: { network: '192.0.2.3' }, key: mine };
    await expect(ask(third)).rejects.toMatchObject({
      ...{ status: 429, code: 'key_open_jobs', retryAfterS: 30 },
      limit: { policy: 'key-jobs', quota: 2 },
    });
    await ask({ ...third, key: key('another') });
    end('running');
    await expect(ask(third)).rejects.toMatchObject({ code: 'key_open_jobs' });
    end('done');
    await ask(third);
  });

  it('that were asked for and never came into the log do not count for ever', async () => {
    const { ask, key, pass } = setUp();
    const owner = { client: { network: '192.0.2.1' }, key: key('mine') };
    for (let i = 0; i < 2; i++) await ask(owner);
    await expect(ask(owner)).rejects.toMatchObject({ code: 'key_open_jobs' });
    pass(60_000);
    await ask(owner);
  });

  it('of one address are limited, with keys and without', async () => {
    const { ask, key } = setUp();
    const client = { network: '192.0.2.1' };
    for (const owner of [key('one'), key('two'), undefined]) await ask({ client, key: owner });
    await expect(ask({ client, key: key('three') })).rejects.toMatchObject({ code: 'client_jobs', status: 429 });
    await ask({ client: { network: '192.0.2.2' }, key: undefined });
  });
});
