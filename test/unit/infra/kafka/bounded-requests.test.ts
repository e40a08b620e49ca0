import { createRequire } from 'node:module';
import net from 'node:net';
import { expect, it } from 'vitest';
import { limitMsOf } from '../../../../infra/kafka/bounded-requests.ts';
import { eventually } from '../../../support/wait.ts';

const require = createRequire(import.meta.url);
const Queue: new (options: object) => { createSocketRequest(pushed: object): { requestTimeout: number } } =
  require('kafkajs/src/network/requestQueue/index.js');
const Connection: new (
  options: object,
) => { connect(): Promise<unknown>; disconnect(): Promise<unknown>; send(request: object): Promise<unknown> } =
  require('kafkajs/src/network/connection.js');
const logger: object = { namespace: () => logger, debug() {}, error() {}, warn() {}, info() {} };

it.each([
  ['Heartbeat', null, 30_000, 5_000],
  ['Metadata', null, 2_000, 2_000],
  ['OffsetCommit', null, 30_000, 5_000],
  ['Fetch', 250, 30_000, 10_250],
  ['JoinGroup', 17_000, 30_000, 17_000],
  ['Produce', null, 30_000, 30_000],
])('waits for an answer to %s (which asks for %s) for less than the client’s %s ms', (apiName, asks, client, limit) => {
  const queue = new Queue({ logger, requestTimeout: client, isConnected: () => true });
  const entry = { apiName, apiKey: 0, apiVersion: 0, correlationId: 1, resolve() {}, reject() {} };
  const pushed = { entry, expectResponse: true, requestTimeout: asks, sendRequest() {} };
  expect(queue.createSocketRequest(pushed).requestTimeout).toBe(limit);
});

it('knows every request that reading makes', () => {
  const reading = ['Fetch', 'ListOffsets', 'Metadata', 'OffsetCommit', 'OffsetFetch', 'GroupCoordinator', 'JoinGroup'];
  for (const apiName of [...reading, 'Heartbeat', 'LeaveGroup', 'SyncGroup', 'ApiVersions'])
    expect(limitMsOf({ entry: { apiName }, requestTimeout: 100 })).toBeGreaterThan(0);
});

it('makes one connection, however many requests wait for it', async () => {
  let made = 0;
  const sockets: net.Socket[] = [];
  const server = net.createServer(socket => sockets.push(socket)).listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  const connection = new Connection({
    ...{ host: '127.0.0.1', port, logger, connectionTimeout: 10_000, requestTimeout: 10_000 },
    socketFactory(of: { host: string; port: number; onConnect: () => void }) {
      made++;
      return net.connect(of.port, of.host, of.onConnect);
    },
  });
  await Promise.all([connection.connect(), connection.connect(), connection.connect()]);
  expect(made).toBe(1);
  await connection.disconnect();
  for (const socket of sockets) socket.destroy();
  server.close();
});

it('fails where the other side closes before a connection is made, of which kafkajs says nothing', async () => {
  const connection = new Connection({
    ...{ host: '127.0.0.1', port: 1, logger, connectionTimeout: 20, requestTimeout: 10_000 },
    socketFactory() {
      const socket = new net.Socket();
      setImmediate(() => socket.emit('end'));
      return socket;
    },
  });
  await expect(connection.connect()).rejects.toThrow('Connection timeout');
});

it('sends nobody into a connection that is closing', async () => {
  const sockets: net.Socket[] = [];
  const server = net.createServer(socket => sockets.push(socket)).listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  const connection = new Connection({
    ...{ host: '127.0.0.1', port, logger, connectionTimeout: 10_000, requestTimeout: 60_000 },
    socketFactory: (of: { host: string; port: number; onConnect: () => void }) =>
      net.connect(of.port, of.host, of.onConnect),
  });
  const request = {
    apiKey: 12,
    apiVersion: 3,
    apiName: 'Heartbeat',
    encode: async () => ({ buffer: Buffer.alloc(4) }),
  };
  const ask = () => connection.send({ request, response: {} });
  await connection.connect();
  const unanswered = ask();
  await eventually('the request', () => (sockets[0]?.bytesRead ?? 0) > 0);
  const closed = connection.disconnect();
  await expect(ask()).rejects.toThrow('Not connected');
  // The broker dies.
  sockets[0]?.destroy();
  await expect(unanswered).rejects.toThrow();
  await closed;
  await connection.connect();
  await eventually('another connection', () => sockets.length === 2);
  await connection.disconnect();
  for (const socket of sockets) socket.destroy();
  server.close();
});
