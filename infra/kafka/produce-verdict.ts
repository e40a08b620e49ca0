/**
 * Decides what the result of a partition in a Produce answer means. Only 0 and "I have it already" say that the batch
 * is in the log. No result says for certain that it is not: even a leader that has lost its role may have appended the
 * batch before that.
 */

/**
 * `again`: write with the same sequence numbers to the leader at that time. `final`: the broker will give the same
 * answer again.
 */
export type Verdict = 'appended' | 'again' | 'final';

/** Error codes of the protocol (https://kafka.apache.org/protocol.html#protocol_error_codes). */
const appended: ReadonlySet<number> = new Set([
  0, // NONE
  46, // DUPLICATE_SEQUENCE_NUMBER
]);

const again: ReadonlySet<number> = new Set([
  2, // CORRUPT_MESSAGE: damaged on the way
  3, // UNKNOWN_TOPIC_OR_PARTITION: a broker that has just started, or has just lost the partition
  5, // LEADER_NOT_AVAILABLE
  6, // NOT_LEADER_OR_FOLLOWER
  7, // REQUEST_TIMED_OUT: appended by the leader, not yet by its replicas
  9, // REPLICA_NOT_AVAILABLE
  13, // NETWORK_EXCEPTION
  14, // COORDINATOR_LOAD_IN_PROGRESS: while the leader verifies a transaction (KIP-890)
  15, // COORDINATOR_NOT_AVAILABLE, likewise
  16, // NOT_COORDINATOR, likewise
  19, // NOT_ENOUGH_REPLICAS
  20, // NOT_ENOUGH_REPLICAS_AFTER_APPEND
  51, // CONCURRENT_TRANSACTIONS, likewise
  56, // KAFKA_STORAGE_ERROR: another broker will lead
  74, // FENCED_LEADER_EPOCH
  75, // UNKNOWN_LEADER_EPOCH
  89, // THROTTLING_QUOTA_EXCEEDED
  100, // UNKNOWN_TOPIC_ID
]);

export function verdictOn(errorCode: number): Verdict {
  if (appended.has(errorCode)) return 'appended';
  return again.has(errorCode) ? 'again' : 'final';
}
