/**
 * Translates the errors of kafkajs into ours, and is the only place that does. The original error is kept as `cause`.
 */
import { createRequire } from 'node:module';
import { Corrupt, Fenced, Retryable } from '../errors.ts';

/**
 * Types of broker errors after which a transactional producer has lost its right to write, or does not know the
 * outcome.
 */
const fencing: ReadonlySet<string> = new Set([
  'INVALID_PRODUCER_EPOCH',
  'PRODUCER_FENCED',
  'INVALID_PRODUCER_ID_MAPPING',
  'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  'INVALID_TXN_STATE',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
]);

const { createErrorFromCode }: { createErrorFromCode(code: number): Error } = createRequire(import.meta.url)(
  'kafkajs/src/protocol/error.js',
);

/** Returns the meaning of an error code, in the words of kafkajs. */
export function brokerError(code: number): Error {
  return createErrorFromCode(code);
}

export function translate(error: unknown, doing: string): Fenced | Retryable {
  const type = typeOf(error);
  const message = `${doing}: ${error instanceof Error ? error.message : String(error)}`;
  if (type !== undefined && fencing.has(type)) return new Fenced(message, { cause: error });
  return new Retryable(message, { cause: error });
}

/**
 * Whether the error is a broker's answer that another attempt may improve. A broken connection is not, because kafkajs
 * repairs it by itself.
 */
export function isRetriable(error: unknown): boolean {
  // Compared by name, because Node's own loader does not see kafkajs' error classes as named exports.
  return error instanceof Error && error.name === 'KafkaJSProtocolError' && Reflect.get(error, 'retriable') === true;
}

/** Compares by name, also when kafkajs has wrapped the error, as it does when it gives up. */
export function isCausedBy(error: unknown, name: string): boolean {
  return chainOf(error).some(at => at.name === name);
}

/** Returns an error that our own code has thrown within kafkajs, even if kafkajs has wrapped it. */
export function corruptIn(error: unknown): Corrupt | undefined {
  return chainOf(error).find(at => at instanceof Corrupt);
}

/** Returns the broker's error type, also when kafkajs has wrapped the error. */
export function typeOf(error: unknown): string | undefined {
  return chainOf(error)
    .map(at => (at as { type?: unknown }).type)
    .find(type => typeof type === 'string');
}

/** The error and its causes. */
function chainOf(error: unknown): Error[] {
  const chain: Error[] = [];
  for (let at: unknown = error; at instanceof Error && chain.length < 5; at = at.cause) chain.push(at);
  return chain;
}
