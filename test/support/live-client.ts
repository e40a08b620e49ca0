/** A listener of /v1/live over a socket of its own: which events it has had, in their order. */
import { get } from 'node:http';

export interface LiveClient {
  /** Numbers of the events, as their ids have them. */
  readonly numbers: number[];
  readonly lastId: string | undefined;
  /** Resolves once the server has answered, to its status. */
  readonly status: Promise<number>;
  close(): void;
}

/** `lastEventId`: what it comes back with. `onEvent` gets the data of each, as it came. */
export function listenLive(
  url: string,
  {
    lastEventId,
    onEvent,
  }: { readonly lastEventId?: string | undefined; readonly onEvent?: (data: string) => void } = {},
): LiveClient {
  const numbers: number[] = [];
  const answered = Promise.withResolvers<number>();
  let lastId: string | undefined;
  let rest = '';
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
  const request = get(`${url}/v1/live`, { agent: false, headers }, response => {
    answered.resolve(response.statusCode ?? 0);
    response.setEncoding('utf8').on('data', (piece: string) => {
      const blocks = (rest + piece).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const [, id, number, data] = /^id: (\w+-(\d+))\ndata: (.*)$/s.exec(block) ?? [];
        if (id === undefined) continue;
        lastId = id;
        numbers.push(Number(number));
        onEvent?.(data ?? '');
      }
    });
    response.on('error', () => undefined);
  });
  // What becomes of a listener shows in what it has had.
  request.on('error', answered.reject);
  answered.promise.catch(() => undefined);
  return {
    numbers,
    get lastId() {
      return lastId;
    },
    status: answered.promise,
    close: () => request.destroy(),
  };
}
