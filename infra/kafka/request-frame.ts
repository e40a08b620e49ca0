/**
 * Writes the length and the header of a request in front of it, in one pass. kafkajs copies the request twice for that,
 * into zeroed buffers of up to twice its size.
 *
 * It replaces a function of kafkajs before it is used. So every file that loads a part of kafkajs imports this one first.
 */
import { createRequire } from 'node:module';
import { takeRequestMemory } from './request-memory.ts';

const require = createRequire(import.meta.url);

interface Encoder {
  readonly buffer: Buffer;
  writeInt16(value: number): Encoder;
  writeInt32(value: number): Encoder;
  writeString(value: string): Encoder;
}
const Encoder: new (size?: number) => Encoder = require('kafkajs/src/protocol/encoder.js');

/** What comes after the header of a request: one buffer, or pieces, which saves a copy. */
export interface RequestBody {
  readonly buffer: Buffer;
  readonly pieces?: readonly Buffer[];
}

export interface FramedRequest {
  readonly correlationId: number;
  readonly clientId: string;
  readonly request: { readonly apiKey: number; readonly apiVersion: number; encode(): Promise<RequestBody> };
}

const replaced = require.resolve('kafkajs/src/protocol/request.js');
export const frameOfKafkajs: (request: FramedRequest) => Promise<{ readonly buffer: Buffer }> = require(replaced);
const module = require.cache[replaced];
if (module === undefined) throw new Error(`${replaced} was not found: is this another version of kafkajs?`);
if (require.cache[require.resolve('kafkajs/src/network/connection.js')] !== undefined) {
  throw new Error('kafkajs was loaded before its requests could be framed');
}
module.exports = frame;

/** Replaces the function of kafkajs. */
export async function frame({ correlationId, clientId, request }: FramedRequest): Promise<{ readonly buffer: Buffer }> {
  const { apiKey, apiVersion, encode } = request;
  const body = await encode();
  const head = new Encoder().writeInt16(apiKey).writeInt16(apiVersion).writeInt32(correlationId).writeString(clientId);
  const pieces = [head.buffer, ...(body.pieces ?? [body.buffer])];
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const buffer = takeRequestMemory(lengthBytes + length);
  buffer.writeInt32BE(length);
  let end = lengthBytes;
  for (const piece of pieces) end += piece.copy(buffer, end);
  return { buffer };
}

const lengthBytes = 4;
