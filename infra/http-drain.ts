/**
 * Ends an HTTP server so that every accepted request still gets its answer.
 *
 * A process that is leaving asks with each answer for the end of the connection (`connection: close`), so that clients
 * come back elsewhere, and says on `/readyz` that it is leaving. Everything else continues. A process that is stopping
 * answers new requests with a problem, 503 with `Retry-After`, while accepted requests are answered in full. It stops
 * listening only when nothing is being answered any more.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Server as TlsServer } from 'node:tls';
import type { Http } from './http-instance.ts';
import { operationPaths } from './http-operations.ts';
import type { Life } from './life.ts';
import type { Logger } from './log.ts';
import { Problem } from './problem.ts';

/** The time to read the rest of a request that is refused. A client that is still sending would not see the answer. */
const refusedBodyMs = 1_000;

export interface HttpDrain {
  /** Why no more requests should be sent here, or undefined. */
  refusal(): string | undefined;
}

interface Drain {
  readonly close: () => Promise<void>;
  readonly endings: (() => unknown)[];
}

const drains = new WeakMap<Http, Drain>();

/** Answers all accepted requests within their time limits, then closes. */
export async function closeHttp(http: Http): Promise<void> {
  await (drains.get(http)?.close() ?? http.close());
}

/** `end` is called when nothing new is accepted any more. It ends what would never end by itself. */
export function onDrain(http: Http, end: () => unknown): void {
  drains.get(http)?.endings.push(end);
}

/**
 * Must be called before any route or other hook. `life` is left out when nobody ever asks the process to stop.
 *
 * Long because its hooks share one state: which connections are open and which answers are in progress.
 */
export function drainable(http: Http, log: Logger, life: Life | undefined): HttpDrain {
  const sockets = new Set<Socket>();
  /**
   * Filled only from the time when the process is leaving. Counting before that would make each request a sixth more
   * expensive.
   */
  const answering = new Set<ServerResponse>();
  const refused = new Set<ServerResponse>();
  const endings: (() => unknown)[] = [];
  let isLeaving = false;
  let isDraining = false;
  let onQuiet: () => void = () => undefined;

  const watch = (response: ServerResponse) => {
    answering.add(response);
    response.once('close', () => {
      if (answering.delete(response) && answering.size === 0) onQuiet();
    });
  };
  const leave = () => {
    if (isLeaving) return;
    isLeaving = true;
    for (const socket of sockets) {
      const response = underWayOn(socket);
      if (response === undefined) continue;
      watch(response);
      if (!response.headersSent) response.setHeader('connection', 'close');
    }
  };
  const begin = () => {
    if (isDraining) return;
    isDraining = true;
    leave();
    for (const end of endings) end();
  };
  life?.leaving.addEventListener('abort', leave, { once: true });
  life?.stop.addEventListener('abort', begin, { once: true });

  // Requests are read from the socket that decrypts, which comes after the handshake.
  const opened = http.server instanceof TlsServer ? 'secureConnection' : 'connection';
  http.server.on(opened, (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  http.addHook('onListen', async () => life?.serves());
  http.addHook('onRequest', (request, { raw: response }, done) => {
    if (!isLeaving) {
      done();
      return;
    }
    response.setHeader('connection', 'close');
    if (!isDraining || operationPaths.has(request.routeOptions.url ?? '')) {
      watch(response);
      done();
      return;
    }
    refused.add(response);
    response.once('close', () => refused.delete(response));
    received(request.raw).then(() => done(stopping()));
  });

  const answered = async (withinMs: number) => {
    if (answering.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    onQuiet = resolve;
    const timer = setTimeout(resolve, withinMs);
    await promise;
    clearTimeout(timer);
  };

  const close = async () => {
    begin();
    await answered(life?.requestsMs() ?? 0);
    if (answering.size > 0) {
      const requests = [...answering].map(({ req: { method, url = '' } }) => `${method} ${url.split('?')[0]}`);
      log.warn({ requests }, 'requests cut off: the time to drain was over before they were answered');
      for (const { socket } of answering) socket?.destroy();
    }
    // Everything that has arrived by now is read, and gets its answer.
    await nextTurn();
    await nextTurn();
    const closed = http.close();
    const busy = new Set([...answering, ...refused].map(({ socket }) => socket));
    for (const socket of sockets) if (!busy.has(socket)) socket.destroy();
    await closed;
  };

  drains.set(http, { close, endings });
  return { refusal: () => (isLeaving ? 'this process is stopping' : undefined) };
}

/**
 * Returns the response that Node is writing on a connection, from the property where Node keeps it
 * (`lib/_http_server.js`).
 */
function underWayOn(socket: Socket): ServerResponse | undefined {
  return (Reflect.get(socket, '_httpMessage') as ServerResponse | null | undefined) ?? undefined;
}

function stopping(): Problem {
  return new Problem(503, 'stopping', 'this process is stopping: send the request again', {}, 1);
}

/** Resolves when the whole request has been read and dropped, or after `refusedBodyMs`. */
function received(request: IncomingMessage): Promise<void> {
  return new Promise(resolve => {
    if (request.complete) return resolve();
    const timer = setTimeout(resolve, refusedBodyMs);
    request.once('close', resolve).once('end', () => {
      clearTimeout(timer);
      resolve();
    });
    request.resume();
  });
}
