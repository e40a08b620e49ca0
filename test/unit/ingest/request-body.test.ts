import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Client } from '../../../infra/http-clients.ts';
import { createBodyReader, freeInflatedBytes, maxInflateRatio } from '../../../ingest/request-body.ts';

const mib = 1 << 20;
const limits = { limitBytes: 4 * mib, budgetBytes: 64 * mib, clientBudgetBytes: 16 * mib, minBytesPerSecond: 1_024 };
const client = new Client('192.0.2.1');

async function inflated(body: Buffer, limitBytes = limits.limitBytes): Promise<number> {
  const pieces = await createBodyReader({ ...limits, limitBytes })(
    client,
    { 'content-encoding': 'gzip' },
    Readable.from([body]),
  );
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

/** Says at its end that it inflates to so many bytes. */
function saying(body: Buffer, bytes: number): Buffer {
  const changed = Buffer.from(body);
  changed.writeUInt32LE(bytes, changed.length - 4);
  return changed;
}

describe('a gzip body', () => {
  it('inflates to so many bytes at any ratio, and no further than the ratio allows', async () => {
    expect(await inflated(gzipSync(Buffer.alloc(freeInflatedBytes)))).toBe(freeInflatedBytes);
    const bomb = gzipSync(Buffer.alloc(4 * mib));
    expect(freeInflatedBytes + maxInflateRatio * bomb.length).toBeLessThan(mib);
    await expect(inflated(bomb)).rejects.toMatchObject({
      status: 413,
      code: 'inflates_too_much',
      message: 'the body must inflate to at most 65536 bytes and 100 more for each byte received',
    });
  });

  it('may be as long as other bodies', async () => {
    const lines = Array.from({ length: 9_000 }, (_, i) => `{"ad_id":"ad-${i}","event_id":"${i * 7_919}"}`).join('\n');
    expect(await inflated(gzipSync(lines))).toBe(lines.length);
    await expect(inflated(gzipSync(lines), lines.length - 1)).rejects.toMatchObject({ code: 'body_too_large' });
  });

  it('that lies about its length is not believed', async () => {
    const bomb = gzipSync(Buffer.alloc(4 * mib));
    await expect(inflated(saying(bomb, 10))).rejects.toMatchObject({ code: 'inflates_too_much' });
    await expect(inflated(saying(gzipSync('{"ad_id":"a"}'), 4 * mib))).rejects.toMatchObject({ code: 'invalid_gzip' });
  });

  it('is inflated off the event loop where it is not small', async () => {
    const lines = Array.from({ length: 9_000 }, (_, i) => `{"ad_id":"ad-${i}","event_id":"${i * 7_919}"}`).join('\n');
    const body = gzipSync(lines);
    const read = createBodyReader(limits);
    let isDone = false;
    const reading = read(client, { 'content-encoding': 'gzip' }, Readable.from([body])).then(() => {
      isDone = true;
    });
    // Received, it is inflated within the same turn, or else not before another.
    let turnsBefore = 0;
    while (!isDone) {
      await new Promise(resolve => setImmediate(resolve));
      turnsBefore++;
    }
    await reading;
    expect(turnsBefore).toBeGreaterThanOrEqual(2);
  });

  it('that is broken stops none behind it', async () => {
    const read = createBodyReader(limits);
    const good = gzipSync(Array.from({ length: 9_000 }, (_, i) => `${i}`).join('\n'));
    const reads = [good.subarray(0, -100), good].map(body =>
      read(client, { 'content-encoding': 'gzip' }, Readable.from([body])),
    );
    expect(await Promise.allSettled(reads)).toMatchObject([
      { status: 'rejected', reason: { code: 'invalid_gzip' } },
      { status: 'fulfilled' },
    ]);
  });
});
