/**
 * Identifies the client of a request. A client is an address (with IPv6, a /64) until requests carry keys. `of` is the
 * only place that decides this, and every limit per client uses its result.
 *
 * The table is bounded. Somebody with very many networks can make it forget clients, but only those that hold nothing
 * at the moment. They then begin again, as they would after a quiet minute.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { networkOf } from './client-network.ts';
import { noProxies, type TrustedProxies } from './trusted-proxies.ts';

export class Client {
  /** Connections of its own, not through a proxy. */
  connections = 0;
  /** Of its requests, in memory. */
  heldBytes = 0;
  /** Of what has come of them, and waits for another system. */
  waitingBytes = 0;
  /** What is left of its rate, and since when that has not been added to: see http-rate-limit.ts. */
  allowance = Number.NaN;
  allowanceAt = 0;
  readonly network: string;

  constructor(network: string) {
    this.network = network;
  }
}

export interface Clients {
  of(request: IncomingMessage): Client;
  /** From when a connection is open; undefined where it is a proxy's, and may be anybody's. */
  connected(socket: Socket): Client | undefined;
  /** Whether the client's own connection is TLS, as far as we or our proxies know. */
  isOverTls(request: IncomingMessage): boolean;
  /** Networks that are known. */
  readonly size: number;
}

export interface ClientsOptions {
  readonly proxies?: TrustedProxies;
  readonly maxKept?: number;
}

export function createClients({ proxies = noProxies, maxKept = 1 << 16 }: ClientsOptions = {}): Clients {
  /** Two generations: what nobody has asked for while the younger filled up is forgotten with the elder. */
  let younger = new Map<string, Client>();
  let elder = new Map<string, Client>();
  /** A connection has one client all its life, so most requests need no look into the table. */
  const known = new WeakMap<Socket, Client>();

  const keep = (client: Client) => {
    if (younger.size >= maxKept / 2) {
      const inUse = [...elder.values()].filter(isInUse);
      elder = younger;
      younger = new Map(inUse.map(each => [each.network, each]));
    }
    younger.set(client.network, client);
  };
  const at = (address: string): Client => {
    const network = networkOf(address);
    const found = younger.get(network);
    if (found) return found;
    const client = elder.get(network) ?? new Client(network);
    elder.delete(network);
    keep(client);
    return client;
  };

  return {
    of({ socket, headers }) {
      const client = known.get(socket);
      if (client) return client;
      const remoteAddress = socket.remoteAddress ?? '';
      return at(proxies.clientOf(remoteAddress, headerText(headers['x-forwarded-for'])));
    },
    connected(socket) {
      const remoteAddress = socket.remoteAddress ?? '';
      if (proxies.trusts(remoteAddress)) return undefined;
      const client = at(remoteAddress);
      known.set(socket, client);
      return client;
    },
    isOverTls({ socket, headers }) {
      if ('encrypted' in socket && socket.encrypted === true) return true;
      if (!proxies.trusts(socket.remoteAddress ?? '')) return false;
      return headerText(headers['x-forwarded-proto'])?.split(',').at(-1)?.trim().toLowerCase() === 'https';
    },
    get size() {
      return younger.size + elder.size;
    },
  };
}

function isInUse({ connections, heldBytes, waitingBytes }: Client): boolean {
  return connections > 0 || heldBytes > 0 || waitingBytes > 0;
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}
