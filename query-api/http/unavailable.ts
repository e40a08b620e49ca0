/** Converts failed reads of ClickHouse to problems, mostly 503 with the time to wait before the next attempt. */
import { codeOf } from '../../infra/clickhouse/errors.ts';
import { Retryable, Unserved } from '../../infra/errors.ts';
import { Problem } from '../../infra/http.ts';
import { NoReplica } from '../replicas/shard.ts';

/** Errors that another attempt or a smaller question may avoid become 503. All others are returned unchanged. */
export function asUnavailable(error: unknown): unknown {
  if (error instanceof Unserved) return unserved(error);
  if (!(error instanceof Retryable)) return error;
  if (codeOf(error) === 'TIMEOUT_EXCEEDED') {
    return new Problem(
      503,
      'query_timeout',
      'the database took too long: ask for a shorter range, or try again',
      {},
      5,
    );
  }
  if (codeOf(error) === 'MEMORY_LIMIT_EXCEEDED') {
    return new Problem(
      503,
      'query_memory',
      'the database needs too much memory: ask for a shorter range or fewer ads',
      {},
      5,
    );
  }
  if (error instanceof NoReplica && error.shard.of > 1) {
    const { shard, of } = error.shard;
    // An answer without one shard would have too few clicks. GET /v1/status says which nodes are concerned.
    return new Problem(
      503,
      'shard_unavailable',
      `shard ${shard} of ${of} cannot be read at the moment: try again`,
      {},
      2,
    );
  }
  return new Problem(503, 'unavailable', 'the database or the log cannot answer at the moment: try again', {}, 1);
}

/** The problem names the setting, for operators who get a report from a user. */
function unserved({ why, message }: Unserved): Problem {
  switch (why) {
    case 'share':
      return new Problem(429, 'client_reads', `${message} (QUERY_MAX_WAITING_PER_CLIENT): ask for less at once`, {}, 5);
    case 'full':
      return new Problem(503, 'reads_busy', `${message} (QUERY_MAX_WAITING): try again`, {}, 5);
    case 'waited':
      return new Problem(503, 'read_waited', `${message} (QUERY_QUEUE_TIMEOUT_MS): try again`, {}, 5);
    case 'late':
      return new Problem(503, 'answer_late', `${message}: ask for a shorter range, or try again`, {}, 5);
    case 'gone':
      // The client gets no answer. Metrics and logs get this status, which shows that the service is not at fault.
      return new Problem(499, 'client_gone', message);
  }
}
