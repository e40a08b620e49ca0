/**
 * Limits how many connections there may be, in total and from one client, and answers connections that do not speak
 * HTTP. Node itself limits the time for headers, for a request, and between requests (http.ts).
 *
 * When there is little room, connections that nobody uses are closed first. A refused connection gets a problem as its
 * answer, although nothing of it was read: it may be a client whose pool is too large. With TLS there is no such answer,
 * because it would need the handshake that the limit is to save.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket, Server as TlsServer } from 'node:tls';
import type { Clients } from './http-clients.ts';
import { countRefusal } from './http-refusals.ts';
import { Problem, problemText } from './problem.ts';

export interface ConnectionLimits {
  readonly MAX_CONNECTIONS: number;
  readonly MAX_CONNECTIONS_PER_CLIENT: number;
}

/** The time for a refused connection to read its answer, and how many such connections there may be at a time. */
const refusalMs = 1_000;
const maxRefusals = 100;
/** When this part of the connections is in use, idle ones are closed, at most once in this interval. */
const littleRoom = 0.9;
const closingIntervalMs = 1_000;

/** Must be called before anything else listens for connections. */
export function limitConnections(server: Server, clients: Clients, limits: ConnectionLimits): void {
  const { MAX_CONNECTIONS: most, MAX_CONNECTIONS_PER_CLIENT: mostPerClient } = limits;
  // Node's own listener, which reads requests from the connection. A refused connection must not reach it.
  const serve = server.listeners('connection');
  server.removeAllListeners('connection');
  let open = 0;
  let refusing = 0;
  let idleClosedAt = Number.NEGATIVE_INFINITY;

  const isTls = server instanceof TlsServer;
  const refuse = (socket: Socket, problem: Problem) => {
    const text = problemText(problem);
    if (isTls || refusing >= maxRefusals) return socket.destroy();
    refusing++;
    const timer = setTimeout(() => socket.destroy(), refusalMs);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      clearTimeout(timer);
      refusing--;
    });
    // What arrives is read and dropped. Otherwise the end of the connection would overtake the answer.
    return socket.resume().end(text);
  };

  server.on('connection', (socket: Socket) => {
    if (open >= littleRoom * most && performance.now() - idleClosedAt >= closingIntervalMs) {
      idleClosedAt = performance.now();
      server.closeIdleConnections();
    }
    const client = clients.connected(socket);
    if (open >= most) return refuse(socket, tooMany(most));
    if (client && client.connections >= mostPerClient) {
      return refuse(socket, tooManyOf(client.network, mostPerClient));
    }
    open++;
    if (client) client.connections++;
    socket.once('close', () => {
      open--;
      if (client) client.connections--;
    });
    for (const listener of serve) Reflect.apply(listener, server, [socket]);
    return undefined;
  });
}

/** Answers an error before there is a request, also with a problem, and ends the connection. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (isOfHandshake(error, socket)) {
    countRefusal('tls_handshake');
    socket.destroy();
    return;
  }
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (socket.writable) socket.write(problemText(problemOf(error.code)));
  socket.destroy(error);
}

/**
 * Another version, no TLS at all, or no certificate of the client, of which Node says only here that it was the reason.
 * There is no TLS yet in which it could be answered.
 */
function isOfHandshake({ code = '' }: NodeJS.ErrnoException, socket: Socket): boolean {
  return socket instanceof TLSSocket && (/^ERR_(SSL|TLS)_/.test(code) || Boolean(socket.authorizationError));
}

function problemOf(code: string | undefined): Problem {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new Problem(408, 'request_timeout', 'the headers of the request, or all of it, did not arrive in time');
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new Problem(431, 'header_too_large', 'the headers of a request must be at most 16384 bytes');
  }
  return new Problem(400, 'bad_request', 'this is not an HTTP/1.1 request');
}

function tooMany(most: number): Problem {
  return new Problem(503, 'too_many_connections', `${most} connections are open (MAX_CONNECTIONS)`, {}, 1);
}

function tooManyOf(network: string, most: number): Problem {
  const detail = `${most} connections from ${network} are open (MAX_CONNECTIONS_PER_CLIENT)`;
  const limit = { policy: 'client-connections', quota: most, unit: 'concurrent-requests', remaining: 0 } as const;
  return new Problem(429, 'client_connections', detail, {}, 1, limit);
}
