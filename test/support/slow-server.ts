/**
 * A process of ours with nothing behind it: `runProcess`, an HTTP server with answers as slow as they are asked to be,
 * and, if told so, something that hangs when it is closed.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Type } from 'typebox';
import { loadConfig, ProcessConfig } from '../../infra/config.ts';
import { createHttp, listen } from '../../infra/http.ts';
import { closeHttp, onDrain } from '../../infra/http-drain.ts';
import { createLog } from '../../infra/log.ts';
import { aborted, runProcess } from '../../infra/process.ts';

const log = createLog('slow', 'info');

await runProcess(log, async (stop, life) => {
  await using _hanging = {
    async [Symbol.asyncDispose]() {
      if (process.env['HANGS']) await new Promise(() => undefined);
    },
  };
  const http = await createHttp({
    openPages: ['/slow', '/take', '/events', '/spin', '/block'],
    title: 'Slow',
    description: 'A server for tests.',
    log,
    bodyLimitBytes: 8 << 20,
    config: loadConfig(ProcessConfig),
    servesPages: false,
    readiness: {},
    life,
  });
  const querystring = Type.Object({ ms: Type.Integer({ default: 0 }) });
  http.get('/slow', { schema: { querystring } }, async request => {
    if (request.query.ms > 500) log.info('begun');
    await sleep(request.query.ms);
    return { done: true };
  });
  http.post('/take', async () => ({ done: true }));
  http.get('/events', (_request, reply) => {
    const stream = new Readable({ read: () => undefined });
    stream.push('first\n');
    log.info('begun');
    onDrain(http, () => {
      stream.push('last\n');
      stream.push(null);
    });
    return reply.type('text/plain').send(stream);
  });
  http.post('/spin', async () => {
    setTimeout(spin, 10);
    return { done: true };
  });
  const block = Type.Object({ ms: Type.Integer() });
  http.post('/block', { schema: { body: block } }, async ({ body }) => {
    // As a call into a native library that takes its time.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, body.ms);
    return { done: true };
  });
  await listen(http, '127.0.0.1', Number(process.env['PORT']));
  log.info('listening');
  const spinsOnce = process.env['SPINS_ONCE'];
  if (spinsOnce && !existsSync(spinsOnce)) {
    writeFileSync(spinsOnce, '');
    setTimeout(spin, 10);
  }
  await aborted(stop);
  await closeHttp(http);
  log.info('closed');
});

/** For ever, in microtasks: no timer, no signal handler and no request gets a turn. */
async function spin(): Promise<void> {
  for (;;) await Promise.resolve();
}
