/**
 * Receives a request's body whole, within limits that hold whatever the client announces: at most `limitBytes` as
 * received and again as inflated, and at most `budgetBytes` over all requests being received at one moment.
 * Inflating is synchronous, so only one body is inflated at a time, and it stops at the limit: a bomb costs no memory.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { Problem } from '../infra/http.ts';

/** Resolves to the body in the pieces in which it came. */
export type BodyReader = (headers: IncomingHttpHeaders, stream: Readable) => Promise<readonly Buffer[]>;

export interface BodyLimits {
  readonly limitBytes: number;
  readonly budgetBytes: number;
}

export function createBodyReader({ limitBytes, budgetBytes }: BodyLimits): BodyReader {
  let receivingBytes = 0;
  return async (headers, stream) => {
    const encoding = encodingOf(headers);
    if (Number(headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
    let bodyBytes = 0;
    const onChunk = (chunkBytes: number) => {
      bodyBytes += chunkBytes;
      receivingBytes += chunkBytes;
      if (bodyBytes > limitBytes) throw tooLarge(limitBytes);
      if (receivingBytes > budgetBytes)
        throw new Problem(503, 'busy', 'too many request bodies are being received', {}, 1);
    };
    try {
      const body = await collect(stream, onChunk);
      return encoding === 'gzip' ? [inflate(Buffer.concat(body), limitBytes)] : body;
    } finally {
      receivingBytes -= bodyBytes;
    }
  };
}

/** Joins bodies in memory that is used again: each holds until the next is joined. */
export function createBodyJoiner(): (pieces: readonly Buffer[]) => Buffer {
  let memory = Buffer.alloc(0);
  return pieces => {
    if (pieces.length === 1) return pieces[0]!;
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (length > memory.length) memory = Buffer.allocUnsafeSlow(length);
    let end = 0;
    for (const piece of pieces) end += piece.copy(memory, end);
    return memory.subarray(0, length);
  };
}

function encodingOf(headers: IncomingHttpHeaders): 'identity' | 'gzip' {
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding === 'identity' || encoding === 'gzip') return encoding;
  throw new Problem(
    415,
    'unsupported_encoding',
    `content-encoding ${JSON.stringify(encoding.slice(0, 40))}: must be gzip or identity`,
  );
}

/** By events: iterating over the stream would cost each small request several turns of the event loop. */
function collect(stream: Readable, onChunk: (bytes: number) => void): Promise<readonly Buffer[]> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let complete = false;
    const fail = (error: unknown) => {
      stream.removeAllListeners('data');
      reject(error);
    };
    stream.on('data', (chunk: Buffer) => {
      try {
        onChunk(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        fail(error);
      }
    });
    stream.on('end', () => {
      complete = true;
      resolve(chunks);
    });
    stream.on('error', () => fail(new Problem(400, 'incomplete_body', 'the body could not be received whole')));
    stream.on('close', () => {
      if (!complete) fail(new Problem(400, 'incomplete_body', 'the connection closed within the body'));
    });
  });
}

function inflate(body: Buffer, limitBytes: number): Buffer {
  try {
    return gunzipSync(body, { maxOutputLength: limitBytes });
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(limitBytes);
    throw new Problem(400, 'invalid_gzip', 'the body is not complete gzip data');
  }
}

function tooLarge(limitBytes: number): Problem {
  return new Problem(413, 'body_too_large', `the body must be at most ${limitBytes} bytes, inflated too`);
}
