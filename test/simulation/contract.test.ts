/** The contract of broker and store, kept by the fakes of the simulation. */
import { describeBroker, describeStore } from './contract.ts';
import { directNetwork } from './direct-network.ts';
import { FakeBroker } from './fake-broker.ts';
import { fakeKafka } from './fake-kafka.ts';
import { FakeStore, fakeClickHouse } from './fake-store.ts';
import { SeededRandom } from './seeded-random.ts';

describeBroker('the fake broker', async () => {
  const broker = new FakeBroker({
    now: () => Date.now(),
    appendTime: () => Date.now(),
    later: effect => void setTimeout(effect, 3),
    random: new SeededRandom(1),
  });
  return { kafka: fakeKafka(broker, directNetwork), [Symbol.asyncDispose]: async () => undefined };
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
