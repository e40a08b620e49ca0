/**
 * Limits the time of every request to a broker.
 *
 * kafkajs gives every request the same 30 s, connects once more for every request that finds no connection, and waits
 * for some answers without any limit. So one broker that hangs (paused, cut off, its disk stuck) would block for half a
 * minute, or forever, what two others could have answered at once. Here:
 * - Small requests have 5 s, which is more than any healthy broker needs. Fetches and joins have the time that they ask
 *   for and a little more. A shorter limit of the client takes precedence (`requestTimeoutMs` of client.ts).
 * - A connection is made once, however many requests wait for it. kafkajs would make several and lose all but the last,
 *   and the lost ones would close that one when they end.
 * - Connecting and authenticating end in time. If the other side closes meanwhile, kafkajs reports it to nobody.
 * - A connection that is closing accepts no requests. It closes once it waits for no more answers. kafkajs lets
 *   requests go on through it, which wait in vain and keep it from being replaced.
 *
 * It replaces methods of kafkajs before they are used.
 */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import './request-frame.ts';

/** As far as it is used. */
interface PushedRequest {
  readonly entry: { readonly apiName: string };
  /** Set for requests for which the broker may wait: a fetch, a join. */
  readonly requestTimeout?: number | null;
}

interface RequestQueue {
  createSocketRequest(pushed: PushedRequest): { requestTimeout: number };
}

interface Connection {
  readonly host: string;
  readonly port: number;
  readonly connectionTimeout: number;
  readonly connectionStatus: 'connected' | 'disconnecting' | 'disconnected';
  readonly socket?: Socket;
  readonly authHandlers: { onError(): void } | null;
  isConnected(): boolean;
  failIfNotConnected(): void;
  connect(): Promise<unknown>;
  disconnect(): Promise<unknown>;
  sendAuthRequest(request: unknown): Promise<unknown>;
}

const smallMs = 5_000;
/** Tens of MB may arrive over a slow line. */
const fetchMs = 10_000;
/** The time until the leader of the group has sent its assignments. */
const syncMs = 15_000;
const authenticationMs = 10_000;

/** Returns how long an answer is waited for. Undefined means as long as the client says. */
export function limitMsOf({ entry: { apiName }, requestTimeout }: PushedRequest): number | undefined {
  switch (apiName) {
    case 'ApiVersions':
    case 'Metadata':
    case 'GroupCoordinator':
    case 'Heartbeat':
    case 'LeaveGroup':
    case 'ListOffsets':
    case 'OffsetFetch':
    case 'OffsetCommit':
    case 'DescribeGroups':
    case 'SaslHandshake':
    case 'SaslAuthenticate':
      return smallMs;
    case 'Fetch':
      return (requestTimeout ?? 0) + fetchMs;
    case 'JoinGroup':
      return requestTimeout ?? undefined;
    case 'SyncGroup':
      return syncMs;
    default:
      return undefined;
  }
}

const require = createRequire(import.meta.url);
const RequestQueue: { readonly prototype: RequestQueue } = require('kafkajs/src/network/requestQueue/index.js');
const Connection: { readonly prototype: Connection } = require('kafkajs/src/network/connection.js');
const { KafkaJSConnectionError }: { KafkaJSConnectionError: new (message: string, of: { broker: string }) => Error } =
  require('kafkajs/src/errors.js');

const { createSocketRequest } = RequestQueue.prototype;
RequestQueue.prototype.createSocketRequest = function (pushed) {
  const request = createSocketRequest.call(this, pushed);
  request.requestTimeout = Math.min(request.requestTimeout, limitMsOf(pushed) ?? request.requestTimeout);
  return request;
};

const { connect, sendAuthRequest } = Connection.prototype;
const connecting = new WeakMap<Connection, Promise<unknown>>();

Connection.prototype.connect = function () {
  const underWay = connecting.get(this);
  if (underWay) return underWay;
  const made = connectInTime(this).finally(() => connecting.delete(this));
  connecting.set(this, made);
  return made;
};

async function connectInTime(connection: Connection): Promise<unknown> {
  const { host, port, connectionTimeout } = connection;
  if (!connection.isConnected()) forget(connection.socket);
  const late = Promise.withResolvers<never>();
  // kafkajs has a limit of its own, which it forgets when the other side closes first.
  const timer = setTimeout(() => {
    late.reject(new KafkaJSConnectionError('Connection timeout', { broker: `${host}:${port}` }));
    void connection.disconnect().catch(() => undefined);
  }, connectionTimeout + 1_000);
  try {
    return await Promise.race([connect.call(connection), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Events of a former socket would be taken for events of the new one. */
function forget(former: Socket | undefined): void {
  if (former === undefined) return;
  former.removeAllListeners();
  former.on('error', () => undefined);
  former.destroy();
}

/** kafkajs calls a closing connection connected, so that earlier requests still get their answers. */
Connection.prototype.failIfNotConnected = function () {
  const { host, port, connectionStatus } = this;
  if (connectionStatus !== 'connected')
    throw new KafkaJSConnectionError('Not connected', { broker: `${host}:${port}` });
};

Connection.prototype.sendAuthRequest = async function (request) {
  const timer = setTimeout(() => this.authHandlers?.onError(), authenticationMs);
  try {
    return await sendAuthRequest.call(this, request);
  } finally {
    clearTimeout(timer);
  }
};
