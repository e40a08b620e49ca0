/** A network for fakes outside of a simulated world: no faults, and hardly any delay. */
import type { Network } from './fake-kafka.ts';

export const directNetwork: Network = {
  call: async (_operation, effect) => effect(),
  bind: callback => callback,
  chance: () => false,
  fetchSize: () => 2,
  longPollMs: 20,
};
