import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { createExportSlots, type ExportSlots } from '../../../../query-api/routes/exports/export-slots.ts';

const piece = Buffer.alloc(200_000, 'x');
let isEnded = false;
async function* endless() {
  try {
    for (;;) {
      await sleep(1);
      yield piece;
    }
  } finally {
    isEnded = true;
  }
}

let slots: ExportSlots | undefined;
afterEach(() => slots?.[Symbol.asyncDispose]());

/** A second of the limits takes 5 ms here. */
function start(limit: number, minBytesPerSecond = 1_000) {
  isEnded = false;
  const opened = createExportSlots({ limit, minBytesPerSecond, tickMs: 5 });
  slots = opened;
  const cut: string[] = [];
  const open = async () => {
    const stream = await opened.open(endless, why => cut.push(why));
    // Like a socket that reads nothing: the bytes are ready.
    stream?.read(0);
    return stream;
  };
  return { cut, open };
}

const closed = async (stream: Readable | undefined) => {
  await once(stream ?? expect.fail('there is no place'), 'close');
  return stream?.readableEnded;
};

describe('an export', () => {
  it('that its client does not read is cut off without its end, and the database is not read further', async () => {
    const { cut, open } = start(1);
    expect(await closed(await open())).toBe(false);
    expect([cut, isEnded]).toEqual([['its client reads less than EXPORT_MIN_BYTES_PER_SECOND'], true]);
  });

  it('that its client reads continues, and keeps its place', async () => {
    const { cut, open } = start(1);
    const stream = await open();
    stream?.resume();
    await sleep(400);
    expect([await open(), cut, stream?.destroyed]).toEqual([undefined, [], false]);
  });

  it('that its client does not read loses its place sooner when another client waits', async () => {
    const { cut, open } = start(1);
    const first = await open();
    expect(await open()).toBeUndefined();
    let second: Readable | undefined;
    while (second === undefined) {
      await sleep(1);
      second = await open();
    }
    second.resume();
    expect([cut, first?.destroyed]).toEqual([[expect.stringContaining('another client waits for its place')], true]);
    await sleep(100);
    expect(await open()).toBeUndefined();
  });

  it('is never cut off when there is no minimum', async () => {
    const { cut, open } = start(1, 0);
    const stream = await open();
    await sleep(400);
    expect([cut, stream?.destroyed]).toEqual([[], false]);
  });

  it('uses a place while it begins, and gives it back if it fails', async () => {
    const { open } = start(1);
    const failing = slots?.open(
      async () => {
        await sleep(5);
        throw new Error('the database is away');
      },
      () => undefined,
    );
    expect(await open()).toBeUndefined();
    await expect(failing).rejects.toThrow('the database is away');
    expect(await open()).toBeDefined();
  });
});
