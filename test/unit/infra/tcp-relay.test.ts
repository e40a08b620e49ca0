import { connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { openTcpRelay } from '../../../infra/embedded/tcp-relay.ts';
import { quietPort } from '../../support/quiet-port.ts';

const stack: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of stack.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** A server behind a relay: how each of its connections has ended. */
async function open(serve: (socket: Socket) => void) {
  const ends: string[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const server = createServer(socket => {
    const end = (how: string) => {
      ends.push(how);
      resolve();
    };
    socket.on('error', error => end(error.message));
    socket.on('end', () => end('end'));
    serve(socket);
  });
  const [port, serverPort] = [await quietPort(), await quietPort()];
  await new Promise<void>(listening => server.listen(serverPort, '127.0.0.1', listening));
  stack.push({ [Symbol.asyncDispose]: async () => void server.close() });
  stack.push(await openTcpRelay('127.0.0.1', port, serverPort));
  const client = connect({ host: '127.0.0.1', port });
  await new Promise(connected => client.once('connect', connected));
  return { client, ends, ended };
}

it('passes on what both say', async () => {
  const { client } = await open(socket => socket.pipe(socket));
  client.write('there and back');
  const [answer] = await new Promise<Buffer[]>(resolve => client.once('data', data => resolve([data])));
  expect(String(answer)).toBe('there and back');
  client.end();
});

it('tells the server of a client that breaks off in the middle of an answer that no more comes, and of no error', async () => {
  const { client, ends, ended } = await open(socket => {
    for (let i = 0; i < 100; i++) socket.write(Buffer.alloc(65_536));
  });
  await new Promise(resolve => client.once('data', resolve));
  client.on('error', () => undefined);
  client.resetAndDestroy();
  await ended;
  expect(ends).toEqual(['end']);
});

it('lets nobody wait for a server that is not there', async () => {
  const port = await quietPort();
  stack.push(await openTcpRelay('127.0.0.1', port, await quietPort()));
  const client = connect({ host: '127.0.0.1', port });
  client.resume();
  await new Promise(closed => client.once('close', closed));
});
