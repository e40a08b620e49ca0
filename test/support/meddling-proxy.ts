/**
 * A proxy between a browser and the query API that does what such proxies do: it answers in place of the API, holds live
 * events back, or keeps connections open at whose other end there is nobody any more.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An answer of the proxy itself. */
export interface OwnAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface MeddlingProxy extends AsyncDisposable {
  readonly url: string;
  /** The paths that were asked for, with their parameters, the oldest first. */
  readonly asked: string[];
  /** Undefined: the query API is asked. `'never'`: nobody answers. */
  answer: (path: string) => OwnAnswer | 'never' | undefined;
  /** For how long all that the query API streams is held back. */
  heldMs: number;
  /** Nothing arrives any more over the streams that are open now, which stay open. */
  deaden(): void;
}

export async function startMeddlingProxy(target: string): Promise<MeddlingProxy> {
  const asked: string[] = [];
  let alive = new AbortController();
  const server = createServer(async (incoming, outgoing) => {
    const path = incoming.url ?? '/';
    asked.push(path);
    const own = proxy.answer(path);
    if (own === 'never') return;
    if (own === undefined) return forward(incoming, outgoing, target, { proxy, dead: alive.signal });
    outgoing.writeHead(own.status, own.headers).end(own.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: MeddlingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    answer: () => undefined,
    heldMs: 0,
    deaden() {
      alive.abort();
      alive = new AbortController();
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

/** Where either side goes, so does the other. */
function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  target: string,
  { proxy, dead }: { readonly proxy: Pick<MeddlingProxy, 'heldMs'>; readonly dead: AbortSignal },
): void {
  const { method, headers, url } = incoming;
  const upstream = request(`${target}${url}`, { method, headers }, answer => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    outgoing.flushHeaders();
    const isStream = answer.headers['content-type']?.startsWith('text/event-stream') === true;
    answer.on('data', (chunk: Buffer) => {
      if (isStream && dead.aborted) return;
      if (isStream && proxy.heldMs > 0) setTimeout(() => outgoing.write(chunk), proxy.heldMs);
      else outgoing.write(chunk);
    });
    answer.on('end', () => outgoing.end());
    answer.on('error', () => outgoing.destroy());
  });
  upstream.on('error', () => outgoing.destroy());
  outgoing.on('error', () => upstream.destroy());
  outgoing.on('close', () => upstream.destroy());
  incoming.pipe(upstream);
}
