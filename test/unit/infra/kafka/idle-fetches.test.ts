import { createRequire } from 'node:module';
import { afterAll, expect, it, vi } from 'vitest';

interface Broker {
  fetch(asked: object): Promise<unknown>;
}
const { prototype }: { readonly prototype: Broker } = createRequire(import.meta.url)('kafkajs/src/broker/index.js');

const { fetch } = prototype;
afterAll(() => {
  prototype.fetch = fetch;
});
let asked: object[] = [];
let messages: unknown[] = [];
prototype.fetch = async given => {
  asked.push(given);
  if (messages[0] instanceof Error) throw messages[0];
  return { responses: [{ topicName: 'clicks', partitions: [{ messages: [] }, { messages }] }] };
};
// Other files of the process may have loaded it, around the fetch of kafkajs.
vi.resetModules();
const { breakOffFetches, beginFetches } = await import('../../../../infra/kafka/idle-fetches.ts');

const owners = { maxWaitTime: 100, minBytes: 65_536, topics: [] };

/** The terms of the fetches that are made while these come in. */
async function termsOf(
  incoming: readonly unknown[][],
  given: object = owners,
  broker: Broker = Object.create(prototype),
): Promise<object[]> {
  asked = [];
  for (const brought of incoming) {
    messages = brought;
    await broker.fetch(given).catch(() => undefined);
  }
  return asked;
}

it('waits for longer after a fetch that found nothing, but for the first byte', async () => {
  const idle = { maxWaitTime: 1_000, minBytes: 1, topics: [] };
  expect(await termsOf([[], [], []])).toEqual([owners, idle, idle]);
});

it('fetches on its owner’s terms again as soon as something came', async () => {
  const [, , afterRecords] = await termsOf([[], ['record'], ['record']]);
  expect(afterRecords).toEqual(owners);
});

it('keeps its owner’s terms while records come, and after a fetch that failed', async () => {
  expect(await termsOf([['record'], ['record']])).toEqual([owners, owners]);
  expect(await termsOf([[], [new Error('broker away')], ['record']])).toEqual([owners, expect.anything(), owners]);
});

it('never waits for a shorter time than its owner', async () => {
  const patient = { maxWaitTime: 2_000, minBytes: 1, topics: [] };
  expect(await termsOf([[], []], patient)).toEqual([patient, patient]);
});

it('waits for longer still after four that found nothing, until the group is joined anew', async () => {
  const broker: Broker = Object.create(prototype);
  const terms = await termsOf(Array(6).fill([]), owners, broker);
  expect(terms.slice(3)).toMatchObject([{ maxWaitTime: 1_000 }, { maxWaitTime: 2_500 }, { maxWaitTime: 2_500 }]);
  beginFetches([broker]);
  expect(await termsOf([[], []], owners, broker)).toMatchObject([owners, { maxWaitTime: 1_000 }]);
});

it('ends what waits on the connection for fetches when the consumer stops, and nothing on the other', () => {
  const ended: string[] = [];
  const connection = (name: string) => ({
    rejectRequests: () => ended.push(`requests of ${name}`),
    disconnect: async () => ended.push(name),
    socket: { destroy: () => ended.push(`socket of ${name}`) },
  });
  breakOffFetches([{ connectionPool: { pool: [connection('others'), connection('fetches')] } }]);
  expect(ended).toEqual(['requests of fetches', 'socket of fetches', 'fetches']);
});

it('waits as long as its owner wants for the first byte, where that was said when the group was joined', async () => {
  const broker: Broker = Object.create(prototype);
  beginFetches([broker], 6_000);
  const terms = await termsOf([[], ['record'], []], owners, broker);
  expect(terms).toEqual(Array(3).fill({ ...owners, maxWaitTime: 6_000, minBytes: 1 }));
});
