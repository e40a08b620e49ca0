/** Over real sockets: how long what is done for a request lives. */
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { Type } from 'typebox';
import { afterEach, describe, expect, it } from 'vitest';
import { type Asker, currentAsker } from '../../../infra/asking.ts';
import { loadConfig, ProcessConfig } from '../../../infra/config.ts';
import { Unserved } from '../../../infra/errors.ts';
import { createHttp, type Http, listen } from '../../../infra/http.ts';
import { asUnavailable } from '../../../query-api/http/unavailable.ts';
import { type RawConnection, rawConnection } from '../../support/raw-http.ts';
import { eventually } from '../../support/wait.ts';

let http: Http | undefined;
const connections: RawConnection[] = [];
afterEach(async () => {
  for (const connection of connections.splice(0)) connection[Symbol.dispose]();
  await http?.close();
});

/** As routes are: what it does takes a while, in several calls, and ends when nobody waits for it. */
async function start(timeoutMs = 10_000) {
  const seen: (Asker | undefined)[] = [];
  const why = (i: number) => {
    const reason: unknown = seen[i]?.signal.reason;
    return reason instanceof Unserved ? reason.why : reason;
  };
  http = await createHttp({
    openPages: ['/work', '/short', '/large', '/wrong', '/stream'],
    ...{ title: 'test', description: '', log: pino({ level: 'silent' }), bodyLimitBytes: 100_000 },
    ...{ config: loadConfig(ProcessConfig, {}), servesPages: false },
    readiness: { seen: () => void seen.push(currentAsker()) },
    answers: { timeoutMs, setting: 'THE_TIMEOUT_MS', isRaw: ({ url }) => url.includes('raw') },
  });
  const work = async () => {
    await sleep(1);
    const asker = currentAsker();
    seen.push(asker);
    await new Promise((_resolve, reject) => {
      asker?.signal.addEventListener('abort', () => reject(asker.signal.reason));
    });
  };
  await http.register(async scope => {
    scope.setErrorHandler(error => {
      throw asUnavailable(error);
    });
    scope.get('/work', work);
    scope.post('/work', { schema: { body: Type.Unknown() } }, work);
    scope.get('/short', async () => {
      seen.push(currentAsker());
      return 'done';
    });
    scope.get('/large', async () => {
      seen.push(currentAsker());
      return 'x'.repeat(1 << 26);
    });
    scope.get('/wrong', async () => {
      seen.push(currentAsker());
      throw new Error('wrong');
    });
    scope.get('/stream', (_request, reply) => {
      seen.push(currentAsker());
      return reply.send(new Readable({ read: () => undefined }));
    });
  });
  const url = await listen(http, '127.0.0.1', 0);
  const ask = (text: string, from?: string) => {
    const connection = rawConnection(url, from);
    connections.push(connection);
    connection.send(text);
    return connection;
  };
  const get = (path: string, from?: string) => ask(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`, from);
  return { seen, why, ask, get };
}

describe('what is done for a request', () => {
  it('is over when its client goes, and nothing else is', async () => {
    const { seen, why, get } = await start();
    const [leaving] = [get('/work', '127.0.0.2'), get('/work', '127.0.0.3')];
    await eventually('both are at it', () => seen.length === 2);
    const at = seen.findIndex(asker => asker?.client === '127.0.0.2');
    leaving[Symbol.dispose]();
    await eventually('it is over', () => why(at) === 'gone');
    expect(seen[1 - at]?.signal.aborted).toBe(false);
    expect(seen[at]?.isOperation).toBe(false);
  });

  it('is over when its client goes, also where it had sent a body', async () => {
    const { seen, why, ask } = await start();
    const head =
      'POST /work HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n';
    const leaving = ask(head);
    // In a piece of its own, later than the rest.
    await sleep(20);
    leaving.send('{}');
    await eventually('it is at it', () => seen.length === 1);
    leaving[Symbol.dispose]();
    await eventually('it is over', () => why(0) === 'gone');
  });

  it('is over when its time is, and its client is told to come again', async () => {
    const { why, get } = await start(50);
    expect(await get('/work').problem()).toMatchObject({
      ...{ status: 503, code: 'answer_late' },
      detail: expect.stringContaining('no answer within 50 ms, which is the limit (THE_TIMEOUT_MS)'),
    });
    expect(why(0)).toBe('late');
  });

  it('lasts as long as an answer that has begun', async () => {
    const { seen, why, get } = await start(50);
    const listening = get('/stream');
    await eventually('it has begun', () => seen.length === 1);
    await sleep(100);
    expect(seen[0]?.signal.aborted).toBe(false);
    listening[Symbol.dispose]();
    await eventually('it is over', () => why(0) === 'gone');
  });

  it('is over with its answer, though the connection goes on', async () => {
    const { seen, why, get } = await start();
    const connection = get('/short');
    expect(await connection.status()).toBe(200);
    await eventually('it is over', () => why(0) === 'gone');
    connection.send('GET /short HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await eventually('the next is another', () => seen.length === 2 && seen[1] !== seen[0]);
  });

  it('has a ticket where it asks for raw clicks, and none where it does not', async () => {
    const { seen, get } = await start();
    get('/work?raw');
    get('/work');
    await eventually('both are at it', () => seen.length === 2);
    expect(seen.map(asker => asker?.ticket?.aborted).sort()).toEqual([false, undefined]);
  });

  it.each(['/large?raw', '/stream?raw'])('has it until its answer is made, however that is taken: %s', async path => {
    const { seen, get } = await start();
    get(path).socket.pause();
    await eventually('its ticket is over', () => seen[0]?.ticket?.aborted === true);
    expect(seen[0]?.signal.aborted).toBe(false);
  });

  it('has it until its client goes', async () => {
    const { seen, get } = await start();
    const leaving = get('/work?raw');
    await eventually('it is at it', () => seen.length === 1);
    expect(seen[0]?.ticket?.aborted).toBe(false);
    leaving[Symbol.dispose]();
    await eventually('its ticket is over', () => seen[0]?.ticket?.aborted === true);
  });

  it('has it no longer where what was done for it has failed', async () => {
    const { seen, get } = await start();
    expect(await get('/wrong?raw').status()).toBe(500);
    expect(seen[0]?.ticket?.aborted).toBe(true);
  });

  it('is known to be of health and metrics, where it is', async () => {
    const { seen, get } = await start();
    expect(await get('/readyz').status()).toBe(200);
    expect(seen[0]?.isOperation).toBe(true);
  });
});
