/**
 * Translates the errors of ClickHouse and its client into ours, and is the only place that does. The original error is
 * kept as `cause`.
 */
import { messageOf, RefusedRows, Retryable } from '../errors.ts';

/** Only for an `insert` may the rows be the cause. The text of any other statement is ours. */
export function translate(error: unknown, doing: 'query' | 'command' | 'insert' | 'ping'): Error {
  const code = codeOf(error);
  const message = `ClickHouse, ${doing}: ${messageOf(error).slice(0, 500)}`;
  if (isDiskFull(error)) return new Retryable(`no space left on ClickHouse's disk: ${message}`, { cause: error });
  if (code === undefined) return new Retryable(message, { cause: error });
  if (doing === 'insert' && isRefusal(code)) return new RefusedRows(message, { cause: error });
  if (passing.has(code)) return new Retryable(message, { cause: error });
  return new Error(message, { cause: error });
}

/**
 * Returns ClickHouse's name of the error, such as `TOO_MANY_PARTS`, also of an error that was translated. It is found
 * by its shape, because the client does not always use the same class for it.
 */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('type' in error && typeof error.type === 'string') return error.type;
  return codeOf(error.cause);
}

/**
 * Errors that may be gone a moment later: load, replicas, Keeper, memory, time, or a schema that is just being created.
 */
const passing: ReadonlySet<string> = new Set([
  'ABORTED',
  'ALL_CONNECTION_TRIES_FAILED',
  'CANNOT_ASSIGN_ALTER',
  'CANNOT_SCHEDULE_TASK',
  'KEEPER_EXCEPTION',
  'MEMORY_LIMIT_EXCEEDED',
  'NETWORK_ERROR',
  'NO_FREE_CONNECTION',
  'NO_ZOOKEEPER',
  'NOT_ENOUGH_SPACE',
  'QUERY_WAS_CANCELLED',
  'REPLICA_IS_NOT_IN_QUORUM',
  'SOCKET_TIMEOUT',
  'TABLE_IS_READ_ONLY',
  'TIMEOUT_EXCEEDED',
  'TOO_FEW_LIVE_REPLICAS',
  'TOO_MANY_PARTS',
  'TOO_MANY_SIMULTANEOUS_QUERIES',
  'TOO_SLOW',
  'UNFINISHED',
  'UNKNOWN_DATABASE',
  'UNKNOWN_STATUS_OF_INSERT',
  'UNKNOWN_TABLE',
  'UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE',
]);

const refusals: ReadonlySet<string> = new Set([
  'ARGUMENT_OUT_OF_BOUND',
  'ATTEMPT_TO_READ_AFTER_EOF',
  'CANNOT_READ_ALL_DATA',
  'DECIMAL_OVERFLOW',
  'INCORRECT_DATA',
  'TOO_DEEP_RECURSION',
  'TOO_LARGE_STRING_SIZE',
  'TYPE_MISMATCH',
  'UNEXPECTED_END_OF_FILE',
  'VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE',
]);

function isRefusal(code: string): boolean {
  return code.startsWith('CANNOT_PARSE') || refusals.has(code);
}

function isDiskFull(error: unknown): boolean {
  return codeOf(error) === 'NOT_ENOUGH_SPACE' || /No space left on device|ENOSPC/.test(messageOf(error));
}
