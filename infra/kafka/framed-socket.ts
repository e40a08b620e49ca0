/**
 * Creates sockets for kafkajs that deliver each answer of a broker in one buffer.
 *
 * Normally Node creates a buffer for each 64 KiB that arrives, and kafkajs copies all buffers of an answer into another
 * one. At hundreds of MB a second that, and collecting the garbage, was half the cost of reading. Here the buffer of an
 * answer is created once its length has been read (each answer begins with it), and the system writes into it directly.
 * Requests are also notified when they have been written, so that their memory can be used again.
 *
 * Connections with TLS are left unchanged, because decryption has copied what arrives there anyway.
 */
import { createRequire } from 'node:module';
import net from 'node:net';
import tls from 'node:tls';
import type { ISocketFactory } from 'kafkajs';
import { takeMemory } from './answer-memory.ts';
import './request-frame.ts';
import { requestWritten } from './request-memory.ts';

const keepAliveMs = 60_000;
const lengthBytes = 4;
/** Larger than any answer: a fetch returns some ten MB, or one batch of records if that is longer. */
const longestAnswerBytes = 1 << 30;

/** Sockets that deliver whole answers. */
const framed = new WeakSet<net.Socket>();

export const createSocket: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const socket = ssl
    ? tls.connect({ host, port, ...(net.isIP(host) ? {} : { servername: host }), ...ssl }, onConnect)
    : connectFramed(host, port, onConnect);
  return socket.setKeepAlive(true, keepAliveMs);
};

function connectFramed(host: string, port: number, onConnect: () => void): net.Socket {
  const answers = new AnswerBuffer();
  const socket = net.connect(
    {
      host,
      port,
      onread: {
        buffer: () => answers.room(),
        callback(arrived) {
          try {
            const answer = answers.take(arrived);
            if (answer) socket.emit('data', answer);
          } catch (error) {
            socket.destroy(error instanceof Error ? error : new Error(String(error)));
          }
          return true;
        },
      },
    },
    onConnect,
  );
  framed.add(socket);
  const write = socket.write.bind(socket);
  socket.write = (request: Uint8Array | string) =>
    write(request, error => {
      if (!error && typeof request !== 'string') requestWritten(request);
    });
  return socket;
}

/** As far as it is used: what reads the data of a socket. */
interface Connection {
  readonly socket: net.Socket;
  readonly authHandlers: { onSuccess(answer: Buffer): void } | null;
  readonly requestQueue: { fulfillRequest(answer: { size: number; correlationId: number; payload: Buffer }): void };
  processData(data: Buffer): void;
}

const Connection: { prototype: Connection } = createRequire(import.meta.url)('kafkajs/src/network/connection.js');
const processData = Connection.prototype.processData;
/** kafkajs would copy a whole answer behind the empty rest of the one before. */
Connection.prototype.processData = function (data) {
  if (!framed.has(this.socket)) processData.call(this, data);
  else if (this.authHandlers) this.authHandlers.onSuccess(data);
  else {
    const [size, correlationId] = [data.length - lengthBytes, data.readInt32BE(lengthBytes)];
    this.requestQueue.fulfillRequest({ size, correlationId, payload: data.subarray(lengthBytes + 4) });
  }
};

/** Collects one answer after another, each with its length in front, as kafkajs expects them. */
export class AnswerBuffer {
  #length = Buffer.alloc(lengthBytes);
  #answer: Buffer | undefined;
  #filled = 0;

  /** Returns where the next bytes must be written. It never extends beyond the current answer. */
  room(): Buffer {
    return (this.#answer ?? this.#length).subarray(this.#filled);
  }

  /** `arrived` bytes were written there. Returns the answer if it is complete. */
  take(arrived: number): Buffer | undefined {
    this.#filled += arrived;
    if (this.#answer === undefined) {
      if (this.#filled < lengthBytes) return undefined;
      const bytes = lengthBytes + this.#length.readInt32BE();
      if (bytes < lengthBytes || bytes > longestAnswerBytes)
        throw new Error(`this is not an answer of Kafka: it would have ${bytes} bytes`);
      this.#answer = takeMemory(bytes);
      this.#length.copy(this.#answer);
    }
    if (this.#filled < this.#answer.length) return undefined;
    const answer = this.#answer;
    this.#answer = undefined;
    this.#filled = 0;
    return answer;
  }
}
