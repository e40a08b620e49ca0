/**
 * Identifies the client of a request. A client is an address (with IPv6, a /64), whatever key it sends. `of` is the
 * only place that decides this, and every limit per client uses its result.
 *
 * The table is bounded. Somebody with very many networks can make it forget clients, but only those that hold nothing
 * at the moment. They then begin again, as they would after a quiet minute.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { networkOf, publicAddress } from './client-network.ts';
import { WrongKeys } from './keys/wrong-keys.ts';
import type { TokenBucket } from './quotas/token-bucket.ts';
import { noProxies, type TrustedProxies } from './trusted-proxies.ts';

export class Client {
  /** The client's own connections, not those through a proxy. */
  connections = 0;
  /** Bytes in memory of the client's requests. */
  heldBytes = 0;
  /** Bytes that came from its requests and wait for another system. */
  waitingBytes = 0;
  /** The remaining allowance of its rate, and when it was last updated. See http-rate-limit.ts. */
  allowance = Number.NaN;
  allowanceAt = 0;
  /** Seconds of raw reads. Created only for clients that ask for raw clicks. */
  rawReads: TokenBucket | undefined;
  readonly network: string;
  /** Created only for clients that send keys. */
  #wrongKeys: WrongKeys | undefined;

  constructor(network: string) {
    this.network = network;
  }

  get wrongKeys(): WrongKeys {
    this.#wrongKeys ??= new WrongKeys();
    return this.#wrongKeys;
  }
}

export interface Clients {
  of(request: IncomingMessage): Client;
  /**
   * The whole address of the client, without a zone. Undefined where it is not known: a trusted proxy does not say it,
   * or the connection comes from this machine, and so from a proxy that nobody has named.
   */
  addressOf(request: IncomingMessage): string | undefined;
  /**
   * Is called when a connection opens. Returns undefined for a proxy's connection, which may carry requests of any
   * client.
   */
  connected(socket: Socket): Client | undefined;
  /** Whether the connection is the client's own, and no proxy's. */
  isDirect(socket: Socket): boolean;
  /** Whether the client's own connection uses TLS, as far as we or our proxies know. */
  isOverTls(request: IncomingMessage): boolean;
  /** The number of known networks. */
  readonly size: number;
}

export interface ClientsOptions {
  readonly proxies?: TrustedProxies;
  readonly maxKept?: number;
}

export function createClients({ proxies = noProxies, maxKept = 1 << 16 }: ClientsOptions = {}): Clients {
  /**
   * There are two generations. A client that nobody asked for while the younger one filled up is forgotten with the
   * older one.
   */
  let younger = new Map<string, Client>();
  let elder = new Map<string, Client>();
  /** A connection has the same client all its life, so most requests need no lookup in the table. */
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
    addressOf({ socket, headers }) {
      const forwardedFor = headerText(headers['x-forwarded-for']);
      const known = proxies.knownClientOf(socket.remoteAddress ?? '', forwardedFor);
      return known === undefined ? undefined : publicAddress(known);
    },
    connected(socket) {
      const remoteAddress = socket.remoteAddress ?? '';
      if (proxies.trusts(remoteAddress)) return undefined;
      const client = at(remoteAddress);
      known.set(socket, client);
      return client;
    },
    isDirect: socket => known.has(socket),
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
