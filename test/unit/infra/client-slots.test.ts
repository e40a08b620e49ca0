import { once } from 'node:events';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { clientSlots } from '../../../infra/client-slots.ts';
import { Client } from '../../../infra/http-clients.ts';

const [one, other] = [new Client('192.0.2.1'), new Client('192.0.2.2')];
const endless = () => new Readable({ read: () => undefined });
const slots = () =>
  clientSlots({ maxPerClient: 2, code: 'client_exports', what: 'exports', setting: 'MAX', retryAfterS: 10 });

describe('long answers of one client', () => {
  it('are as many as may be, and others have theirs', async () => {
    const open = slots();
    await open(one, undefined, endless);
    await open(one, undefined, endless);
    await expect(open(one, undefined, endless)).rejects.toMatchObject({
      ...{ status: 429, code: 'client_exports', retryAfterS: 10 },
      message: '2 exports of 192.0.2.1 are open, which is the limit (MAX)',
    });
    expect(await open(other, undefined, endless)).toBeInstanceOf(Readable);
  });

  it('make room when they close, however they do, or could not be opened', async () => {
    const open = slots();
    for (let i = 0; i < 3; i++) {
      const [destroyed, ended] = [
        await open(one, undefined, endless),
        await open(one, undefined, () => Readable.from(['x'])),
      ];
      destroyed.destroy();
      ended.resume();
      await Promise.all([destroyed, ended].map(stream => (stream.closed ? undefined : once(stream, 'close'))));
      await expect(open(one, undefined, () => Promise.reject(new Error('away')))).rejects.toThrow('away');
    }
    // The client is the same though it was forgotten meanwhile.
    const kept = [await open(new Client('192.0.2.1'), undefined, endless), await open(one, undefined, endless)];
    await expect(open(one, undefined, endless)).rejects.toMatchObject({ code: 'client_exports' });
    for (const stream of kept) stream.destroy();
  });
});
