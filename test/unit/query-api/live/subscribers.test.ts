import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createSubscribers } from '../../../../query-api/live/subscribers.ts';

const event = Buffer.from('x'.repeat(100));

function listening(maxBufferBytes = 250) {
  const left: string[] = [];
  const subscribers = createSubscribers({ maxBufferBytes, onLeave: why => left.push(why) });
  return { subscribers, left };
}

describe('subscribers', () => {
  it('all get the same bytes, the first ones first', async () => {
    const { subscribers } = listening();
    const streams = Array.from({ length: 1_000 }, () => subscribers.add([Buffer.from('first ')]));
    subscribers.send(Buffer.from('then'));
    expect(new Set(streams.map(stream => String(stream.read())))).toEqual(new Set(['first then']));
  });

  it('that do not read are cut off once their buffer is full, and the others are not', async () => {
    const { subscribers, left } = listening();
    const slow = subscribers.add([]);
    const fast = subscribers.add([]);
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
    const { subscribers, left } = listening();
    subscribers.add([]).destroy();
    await turn();
    expect([left, subscribers.size]).toEqual([['gone'], 0]);
  });

  it('get to the end of what they were sent when all are let go', async () => {
    const { subscribers, left } = listening();
    const stream = subscribers.add([event]);
    subscribers.close();
    let bytes = 0;
    for await (const chunk of stream) bytes += (chunk as Buffer).length;
    expect([bytes, left]).toEqual([100, ['closed']]);
  });
});
