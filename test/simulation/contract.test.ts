/** The contract of broker and store, kept by the fakes of the simulation. */

import { brokerInRealTime } from './broker-in-real-time.ts';
import { describeBroker, describeStore } from './contract.ts';
import { directNetwork } from './direct-network.ts';
import { FakeStore, fakeClickHouse } from './fake-store.ts';

describeBroker('the fake broker', async () => {
  const { kafka } = brokerInRealTime();
  return { kafka, [Symbol.asyncDispose]: async () => undefined };
});

describeStore('the fake store', async () => {
  const store = new FakeStore();
  return {
    clickhouse: fakeClickHouse(store, directNetwork, () => undefined),
    adMinutes: async () => store.adMinutes('ad_minute'),
    progress: async () => store.progress(),
    rawClickIds: async () => store.rawRows().map(row => row.click_id),
    [Symbol.asyncDispose]: async () => undefined,
  };
});
