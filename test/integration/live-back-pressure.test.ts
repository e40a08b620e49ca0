/** Over real sockets: a client that does not read is cut off, and neither the server nor the others notice. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { loadConfig, ProcessConfig } from '../../infra/config.ts';
import { createHttp, listen } from '../../infra/http.ts';
import { createSubscribers } from '../../query-api/routes/live/subscribers.ts';
import { eventually } from '../support/wait.ts';

const event = Buffer.alloc(256 * 1_024, 'x');
const maxBufferBytes = 2 * event.length;

it('cuts off a client that does not read, and goes on with those that do', async () => {
  const left: string[] = [];
  const subscribers = createSubscribers({
    ...{ maxClients: 10, maxBufferBytes, maxBehindMs: 600_000, now: Date.now, farewell: Buffer.from('bye') },
    onLeave: why => left.push(why),
  });
  const http = await createHttp({
    openPages: ['/live'],
    ...{ title: 'test', description: '', log: pino({ level: 'silent' }), bodyLimitBytes: 1_024 },
    ...{ config: loadConfig(ProcessConfig, {}), servesPages: false, readiness: {} },
  });
  http.get('/live', { exposeHeadRoute: false }, (_request, reply) =>
    reply.send(subscribers.add('a', [Buffer.from('first')])),
  );
  const url = new URL(await listen(http, '127.0.0.1', 0));

  const slow = connect(Number(url.port), url.hostname).pause();
  slow.write('GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const [fast] = (await once(get(new URL('/live', url)), 'response')) as [IncomingMessage];
  let received = 0;
  fast.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  await eventually('both listen', () => subscribers.size === 2 && received > 0);

  // The system's own buffers take some megabytes before anything waits here.
  let sent = received;
  for (let i = 0; i < 400 && left.length === 0; i++) {
    subscribers.send(event);
    sent += event.length;
    await eventually('the other has it', () => received === sent);
  }
  expect(left).toEqual(['slow']);
  expect(subscribers.size).toBe(1);
  const closed = once(slow, 'close');
  slow.on('error', () => undefined).resume();
  await closed;

  subscribers.send(event);
  await eventually('it goes on', () => received === sent + event.length);
  fast.destroy();
  await eventually('it is forgotten', () => subscribers.size === 0);
  await sleep(0);
  expect(left).toEqual(['slow', 'gone']);
  await http.close();
});
