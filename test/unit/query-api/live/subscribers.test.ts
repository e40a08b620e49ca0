import { text } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createSubscribers } from '../../../../query-api/routes/live/subscribers.ts';

const event = Buffer.from('x'.repeat(100));

function listening({ maxBufferBytes = 250, maxClients = 1_000 } = {}) {
  const left: string[] = [];
  let now = 0;
  const subscribers = createSubscribers({
    ...{ maxBufferBytes, maxClients, maxBehindMs: 30_000, now: () => now, farewell: Buffer.from('bye') },
    onLeave: why => left.push(why),
  });
  const add = (client = 'a', first: readonly Buffer[] = []) =>
    subscribers.add(client, first) ?? expect.fail('there is no room');
  const wait = (ms: number) => {
    now += ms;
  };
  return { subscribers, left, add, wait };
}

describe('subscribers', () => {
  it('all get the same bytes, and those of `first` before the rest', async () => {
    const { subscribers, add } = listening();
    const streams = Array.from({ length: 1_000 }, () => add('a', [Buffer.from('first ')]));
    subscribers.send(Buffer.from('then'));
    expect(new Set(streams.map(stream => String(stream.read())))).toEqual(new Set(['first then']));
  });

  it('that do not read are cut off when their buffer is full, and the others are not', async () => {
    const { subscribers, left, add } = listening();
    const [slow, fast] = [add(), add()];
    let bytes = 0;
    fast.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    for (let i = 0; i < 5; i++) {
      subscribers.send(event);
      await turn();
    }
    expect({ left, size: subscribers.size, bytes }).toEqual({ left: ['slow'], size: 1, bytes: 500 });
    expect([slow.destroyed, fast.destroyed]).toEqual([true, false]);
    expect(slow.readableLength).toBeLessThanOrEqual(250);
  });

  it('are forgotten when they go', async () => {
    const { subscribers, left, add } = listening();
    add().destroy();
    await turn();
    expect([left, subscribers.size]).toEqual([['gone'], 0]);
  });

  it('get everything that was sent before all streams end', async () => {
    const { subscribers, left, add } = listening();
    const stream = add('a', [event]);
    subscribers.close();
    let bytes = 0;
    for await (const chunk of stream) bytes += (chunk as Buffer).length;
    expect([bytes, left]).toEqual([100, ['closed']]);
  });

  it('that have read nothing for a long time are cut off, however little waits for them', async () => {
    const { subscribers, left, add, wait } = listening();
    const [silent, reading] = [add(), add()];
    reading.resume();
    const small = Buffer.from('x');
    for (let i = 0; i < 4; i++) {
      subscribers.send(small);
      await turn();
      expect(left).toEqual([]);
      wait(10_000);
    }
    subscribers.send(small);
    expect([left, silent.destroyed, reading.destroyed]).toEqual([['slow'], true, false]);
  });

  it('make room for a client that has fewer: the oldest one of the client with the most gets a farewell', async () => {
    const { subscribers, left, add } = listening({ maxClients: 4 });
    const mine = [add('mine'), add('mine'), add('mine')];
    const other = add('other');
    for (const stream of [...mine, other]) stream.resume();
    const told = text(mine[0] ?? expect.fail());
    add('new').resume();
    expect([left, await told, subscribers.size]).toEqual([['room'], 'bye', 4]);
    // Now `mine` has two listeners and the others have one each. Another move would help nobody.
    expect(subscribers.add('mine', [])).toBeUndefined();
    expect(subscribers.add('new', [])).toBeUndefined();
    expect(subscribers.add('fourth', [])).toBeDefined();
    expect(subscribers.add('fifth', [])).toBeUndefined();
    expect([left, mine[1]?.readableEnded, mine[2]?.readableEnded]).toEqual([['room', 'room'], false, false]);
    await turn();
    expect([mine[1]?.readableEnded, mine[2]?.readableEnded, other.readableEnded]).toEqual([true, false, false]);
  });

  it('of ten clients with a hundred listeners each shut out nobody', () => {
    const { subscribers, add } = listening();
    for (let i = 0; i < 1_000; i++) add(`client ${i % 10}`).resume();
    for (let i = 0; i < 50; i++) add('late').resume();
    expect(subscribers.size).toBe(1_000);
  });
});
