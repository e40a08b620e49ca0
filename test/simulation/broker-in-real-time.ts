/** The simulation's broker for a test without a simulated world: on the real clock, and without faults of its network. */
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { directNetwork } from './direct-network.ts';
import { FakeBroker } from './fake-broker.ts';
import { fakeKafka } from './fake-kafka.ts';
import { SeededRandom } from './seeded-random.ts';

/** `fetchSize`: how many records a fetch brings, at most. */
export function brokerInRealTime(fetchSize = directNetwork.fetchSize()): {
  readonly broker: FakeBroker;
  readonly kafka: KafkaClient;
} {
  const broker = new FakeBroker({
    now: () => Date.now(),
    appendTime: () => Date.now(),
    later: effect => void setTimeout(effect, 3),
    random: new SeededRandom(1),
  });
  return { broker, kafka: fakeKafka(broker, { ...directNetwork, fetchSize: () => fetchSize }) };
}
