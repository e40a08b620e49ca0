/**
 * Requests at an even rate, and how long its answers take. autocannon, which finds out the most
 * that goes through, sends what is due in a second all at its beginning: its times at half of the most are those at the
 * most, for half of the time.
 *
 * A request's time begins when it is due, not when a connection is free for it: who has to wait to be sent, waits. The
 * first one is due when all connections are open. Connections are used in turn, because a server ends one on which
 * nothing comes.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

interface Pace {
  readonly url: URL;
  readonly requestsPerSecond: number;
  readonly seconds: number;
  readonly connections: number;
}

export interface PacedOptions extends Pace {
  readonly body: string;
}

export interface PacedRequests extends Pace {
  /** The n-th, from 0 on. */
  readonly requestAt: (n: number) => Buffer;
  /** The status that counts as success. Left out: every status does. */
  readonly status?: number;
}

export interface PacedTimes {
  readonly answered: number;
  readonly p50: number;
  readonly p99: number;
}

/** The same post again and again. @throws where one is answered by anything but 202 */
export async function postPaced(options: PacedOptions): Promise<PacedTimes> {
  const request = requestOf(options);
  return await requestPaced({ ...options, requestAt: () => request, status: 202 });
}

/** @throws where a request is answered by any other status */
export async function requestPaced(options: PacedRequests): Promise<PacedTimes> {
  const { url, requestsPerSecond, seconds, connections, requestAt, status } = options;
  let sent = 0;
  const times: number[] = [];
  const due: number[] = [];
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const idle: Connection[] = [];
  const sendDue = () => {
    while (due.length > 0 && idle.length > 0) idle.shift()!.send(requestAt(sent++), due.shift()!);
  };
  const opened = Array.from({ length: connections }, () =>
    openConnection(url, status, {
      onAnswer(connection, dueAt) {
        times.push(performance.now() - dueAt);
        idle.push(connection);
        sendDue();
      },
      onError: reject,
    }),
  );
  const most = Math.round(requestsPerSecond * seconds);
  const pace = async () => {
    await Promise.all(opened.map(({ isOpen }) => isOpen));
    idle.push(...opened);
    const startedAt = performance.now();
    for (let made = 0; made < most; ) {
      const soFar = ((performance.now() - startedAt) * requestsPerSecond) / 1_000;
      for (; made < Math.min(most, soFar); made++) due.push(startedAt + (made * 1_000) / requestsPerSecond);
      sendDue();
      await sleep(1);
    }
    while (times.length < most) await sleep(1);
  };
  try {
    await Promise.race([pace(), failed]);
  } finally {
    for (const connection of opened) connection.close();
  }
  times.sort((a, b) => a - b);
  const share = (part: number) => times[Math.floor(times.length * part)]!;
  return { answered: times.length, p50: share(0.5), p99: share(0.99) };
}

interface Connection {
  readonly isOpen: Promise<void>;
  send(request: Buffer, dueAt: number): void;
  close(): void;
}

interface Listener {
  onAnswer(connection: Connection, dueAt: number): void;
  onError(error: Error): void;
}

/** One request at a time. */
function openConnection(
  { hostname, port }: URL,
  status: number | undefined,
  { onAnswer, onError }: Listener,
): Connection {
  const socket: Socket = connect({ host: hostname, port: Number(port), noDelay: true });
  let [answer, dueAt] = ['', 0];
  const { promise: isOpen, resolve } = Promise.withResolvers<void>();
  socket.once('connect', resolve);
  const connection = {
    isOpen,
    send(request: Buffer, at: number) {
      dueAt = at;
      socket.write(request);
    },
    close: () => socket.destroy(),
  };
  socket.setEncoding('latin1');
  socket.on('error', onError);
  socket.on('data', (text: string) => {
    answer += text;
    if (!isWhole(answer)) return;
    if (status !== undefined && !answer.startsWith(`HTTP/1.1 ${status} `))
      onError(new Error(`not ${status}: ${answer.slice(0, 300)}`));
    answer = '';
    onAnswer(connection, dueAt);
  });
  return connection;
}

function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n');
  const length = /\r\ncontent-length: (\d+)/i.exec(answer)?.[1];
  return end !== -1 && answer.length >= end + 4 + Number(length);
}

function requestOf({ url, body }: PacedOptions): Buffer {
  const head = [
    `POST ${url.pathname} HTTP/1.1`,
    `host: ${url.host}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}
