/**
 * Decides which errors of kafkajs and of the brokers pass by themselves while a cluster rearranges itself: a connection
 * or an answer that failed, or a leader or a coordinator that has moved or is not ready yet. After such an error the
 * caller looks up again which broker to ask, and asks again.
 */

const passingNames: ReadonlySet<string> = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSLockTimeout',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSTopicMetadataNotLoaded',
  'KafkaJSGroupCoordinatorNotFound',
]);

/** Errors into which kafkajs wraps others when it gives up. */
const wrappingNames: ReadonlySet<string> = new Set(['KafkaJSNumberOfRetriesExceeded', 'KafkaJSNonRetriableError']);

const passingTypes: ReadonlySet<string> = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'BROKER_NOT_AVAILABLE',
  'KAFKA_STORAGE_ERROR',
  'NETWORK_EXCEPTION',
  'REQUEST_TIMED_OUT',
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
]);

export function isPassing(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (wrappingNames.has(error.name)) return isPassing(error.cause);
  const type: unknown = Reflect.get(error, 'type');
  if (typeof type === 'string') return passingTypes.has(type);
  return passingNames.has(error.name) || Reflect.get(error, incomplete) === true;
}

/** Marks an answer that lacks something. Another broker, or the same one a little later, may know more. */
const incomplete = Symbol('an incomplete answer');

/** @returns a passing error for kafkajs to pass on */
export function incompleteAnswer(message: string): Error {
  return Object.assign(new Error(message), { retriable: true, [incomplete]: true });
}

/** @throws a passing error when there is no answer in time */
export async function answerWithin<T>(ms: number, what: string, answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(incompleteAnswer(`${what}: no answer within ${ms} ms`)), ms);
  // A later failure was given up already.
  answer.catch(() => undefined);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export function passOver(error: unknown): void {
  if (!isPassing(error)) throw error;
}
