/**
 * Receives the whole body of a request, within limits that hold whatever the client announces.
 *
 * A body has at most `limitBytes` as received, and at most as many after inflating. It also stays within the memory
 * budgets of all bodies and of one client (body-budget.ts).
 *
 * Inflating stops at the limit, and earlier at a compression ratio that clicks never have, so a decompression bomb
 * costs no memory. A body that seems small is inflated at once. All others are inflated outside the event loop, one at
 * a time, with the clients in turn.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gunzip, gunzipSync, type ZlibOptions } from 'node:zlib';
import { brokenRule } from '../infra/broken-rule.ts';
import { Problem } from '../infra/http.ts';
import type { Client } from '../infra/http-clients.ts';
import { BodyBudget, type BodyBudgetOptions, type BodyUnderWay } from './body-budget.ts';
import { BodyPieces } from './body-pieces.ts';
import { type FairTurns, fairTurns } from './fair-turns.ts';

/** Resolves to the body in the pieces in which it arrived. `limitBytes` replaces that of all bodies. */
export type BodyReader = (
  client: Client,
  headers: IncomingHttpHeaders,
  stream: Readable,
  limitBytes?: number,
) => Promise<readonly Buffer[]>;

export interface BodyLimits extends BodyBudgetOptions {
  readonly limitBytes: number;
}

export function createBodyReader(limits: BodyLimits): BodyReader {
  const inTurn = fairTurns();
  const budget = new BodyBudget(limits);
  return async (client, headers, stream, limitBytes = limits.limitBytes) => {
    const encoding = encodingOf(headers);
    const announced = headers['content-length'];
    const bodyBytes = announced === undefined ? undefined : Number(announced);
    if (bodyBytes !== undefined && bodyBytes > limitBytes) throw tooLarge(limitBytes);
    const body = budget.begin(client);
    try {
      const pieces = await collect(stream, { body, budget, bodyBytes, limitBytes });
      return encoding === 'gzip' ? [await inflate(Buffer.concat(pieces), limitBytes, inTurn, client)] : pieces;
    } finally {
      budget.release(body);
    }
  };
}

/** Joins bodies in memory that is used again. Each result is valid until the next body is joined. */
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
  const given = headers['content-encoding'] ?? '';
  switch (given.trim().toLowerCase()) {
    case '':
    case 'identity':
      return 'identity';
    // Another name for the same, as defined by HTTP (RFC 9110, 8.4.1.3).
    case 'gzip':
    case 'x-gzip':
      return 'gzip';
    default:
      throw new Problem(415, 'unsupported_encoding', brokenRule('content-encoding', given, 'must be gzip or identity'));
  }
}

interface Collecting {
  readonly body: BodyUnderWay;
  readonly budget: BodyBudget;
  /** The length that the client announced. */
  readonly bodyBytes: number | undefined;
  readonly limitBytes: number;
}

/** A body this short nearly always arrives together with its headers. */
const onePieceBytes = 16 << 10;

/** Uses events, because iterating over the stream would cost each small request several turns of the event loop. */
function collect(stream: Readable, collecting: Collecting): Promise<readonly Buffer[]> {
  const { body, budget, bodyBytes, limitBytes } = collecting;
  return new Promise((resolve, reject) => {
    const pieces = new BodyPieces();
    let complete = false;
    const fail = (error: unknown) => {
      stream.removeAllListeners('data');
      budget.release(body);
      reject(error);
    };
    body.end = fail;
    let isWatched = bodyBytes === undefined || bodyBytes > onePieceBytes;
    if (isWatched) budget.watch(body);
    stream.on('data', (chunk: Buffer) => {
      try {
        if (body.bytes + chunk.length > limitBytes) throw tooLarge(limitBytes);
        budget.take(body, chunk.length);
        pieces.add(chunk);
        if (body.bytes === bodyBytes) budget.unwatch(body);
        else if (!isWatched) budget.watch(body);
        isWatched = true;
      } catch (error) {
        fail(error);
      }
    });
    stream.on('end', () => {
      complete = true;
      budget.unwatch(body);
      resolve(pieces.all());
    });
    stream.on('error', () => fail(new Problem(400, 'incomplete_body', 'the body could not be received whole')));
    stream.on('close', () => {
      if (!complete) fail(new Problem(400, 'incomplete_body', 'the connection closed within the body'));
    });
  });
}

/** A body may always inflate to this many bytes, and beyond that to `maxInflateRatio` times the received bytes. */
export const freeInflatedBytes = 64 << 10;
export const maxInflateRatio = 100;

async function inflate(body: Buffer, limitBytes: number, inTurn: FairTurns, client: Client): Promise<Buffer> {
  const ratioBytes = freeInflatedBytes + maxInflateRatio * body.length;
  const options: ZlibOptions = { maxOutputLength: Math.min(limitBytes, ratioBytes), chunkSize: inflatedChunkBytes };
  try {
    if (saidBytes(body) <= freeInflatedBytes && body.length <= freeInflatedBytes) {
      const inflated = inflateSmall(body, Math.min(limitBytes, freeInflatedBytes));
      if (inflated) return inflated;
    }
    return await inTurn(client, () => gunzipAsync(body, options));
  } catch (error) {
    if (error instanceof RangeError) throw ratioBytes < limitBytes ? inflatesTooMuch() : tooLarge(limitBytes);
    throw new Problem(400, 'invalid_gzip', 'the body is not complete gzip data');
  }
}

/** Returns undefined if the result is larger than `maxBytes`. */
function inflateSmall(body: Buffer, maxBytes: number): Buffer | undefined {
  try {
    return gunzipSync(body, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Returns the length that gzip data gives at its end for the inflated content. It may be wrong. */
function saidBytes(body: Buffer): number {
  return body.length < 4 ? 0 : body.readUInt32LE(body.length - 4);
}

const gunzipAsync = promisify<Buffer, ZlibOptions, Buffer>(gunzip);
/** Inflates in steps of this size. Each step is a way to another thread and back. */
const inflatedChunkBytes = 256 << 10;

function tooLarge(limitBytes: number): Problem {
  return new Problem(413, 'body_too_large', `the body must be at most ${limitBytes} bytes, inflated too`);
}

function inflatesTooMuch(): Problem {
  return new Problem(
    413,
    'inflates_too_much',
    `the body must inflate to at most ${freeInflatedBytes} bytes and ${maxInflateRatio} more for each byte received`,
  );
}
