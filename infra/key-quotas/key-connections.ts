/**
 * Counts the open connections of each API key. A connection belongs to the key of its last request, so it counts once,
 * also if requests with several keys come over it. Those of trusted proxies belong to nobody.
 */
import type { Socket } from 'node:net';
import type { Clients } from '../http-clients.ts';
import type { Key } from '../keys/key-book.ts';
import type { KeyQuotas } from './key-quotas.ts';

/** @throws Problem 429 if the key has as many as it may, and this is another one */
export type CountConnection = (socket: Socket, key: Key) => void;

export function keyConnections(quotas: KeyQuotas, clients: Pick<Clients, 'isDirect'>): CountConnection {
  const owners = new WeakMap<Socket, Owner>();
  return (socket, key) => {
    const owner = owners.get(socket);
    if (owner?.keyId === key.id || socket.destroyed || !clients.isDirect(socket)) return;
    const release = quotas.hold(key, 'connections', 1);
    if (owner === undefined) {
      const first = { keyId: key.id, release };
      owners.set(socket, first);
      socket.once('close', () => first.release());
    } else {
      owner.release();
      owner.keyId = key.id;
      owner.release = release;
    }
  };
}

interface Owner {
  keyId: string;
  release: () => void;
}
