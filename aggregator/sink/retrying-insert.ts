/**
 * Inserts rows into ClickHouse, and repeats an insert with the same rows until it succeeds.
 *
 * All tables replace rows by key and version, so an insert that is repeated after a lost answer changes nothing. Three
 * things end the repetition: ClickHouse refuses the rows themselves (`RefusedRows`), a person was erased since the rows
 * were made (`OutdatedRows`), or the sink is closed.
 */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { messageOf, RefusedRows, Retryable } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import { pause } from '../../infra/pause.ts';
import type { FollowedErasures } from '../../ingest/privacy/follow-erasures.ts';
import { insertRetries, insertSeconds, rowBytes } from './metrics.ts';

const longestPauseMs = 5_000;

export type KnownErasures = Pick<FollowedErasures, 'check'> & {
  readonly book: Pick<FollowedErasures['book'], 'version'>;
};

/** They were made before an erasure became known, and have to be made again. */
export class OutdatedRows extends Retryable {}

export interface RetryingInsertOptions {
  readonly clickhouse: ClickHouse;
  /** The name of the ClickHouse node, for metrics. */
  readonly node: string;
  readonly log: Logger;
  readonly erasures: Pick<KnownErasures, 'check'>;
}

export class RetryingInsert {
  readonly #options: RetryingInsertOptions;
  readonly #closing = new AbortController();
  /** The rows of every insert are joined here. Allocating new memory for each costs several times as much as copying. */
  #memory = Buffer.alloc(0);
  #startedAt = 0;
  /** Why inserting does not succeed at the moment, or undefined. The next successful insert clears it. */
  failing: string | undefined;

  constructor(options: RetryingInsertOptions) {
    this.#options = options;
  }

  /** For how long the current insert has been in progress. 0 when there is none. */
  get insertingForMs(): number {
    return this.#startedAt === 0 ? 0 : performance.now() - this.#startedAt;
  }

  /** Ends the repetition. An insert that fails after this rejects at once. */
  close(): void {
    this.#closing.abort();
  }

  /** Resolves when ClickHouse has the rows. Only one call may be in progress, because all of them use one memory. */
  async insert(
    table: string,
    rows: readonly Buffer[],
    isCurrent: () => boolean,
    columns?: readonly string[],
  ): Promise<void> {
    const { clickhouse, node, log, erasures } = this.#options;
    const { signal } = this.#closing;
    const ndjson = this.#join(rows);
    for (let attempt = 0; ; attempt++) {
      if (!isCurrent()) throw new OutdatedRows(`${table}: persons were erased since the rows were made`);
      const startedAt = performance.now();
      this.#startedAt = startedAt;
      try {
        erasures.check();
        await clickhouse.insert(table, ndjson, columns);
        insertSeconds.observe({ node, table }, (performance.now() - startedAt) / 1000);
        rowBytes.inc({ node, table }, ndjson.length);
        this.failing = undefined;
        return;
      } catch (error) {
        // A failed request may still be on its way to the server, so nothing else may be written into its memory.
        this.#memory = Buffer.alloc(0);
        if (error instanceof RefusedRows || signal.aborted) throw error;
        const pauseMs = Math.min(longestPauseMs, 100 * 2 ** attempt);
        this.failing = messageOf(error);
        insertRetries.inc({ node, table });
        log.warn({ node, table, why: this.failing, pauseMs }, 'insert failed, it will be repeated');
        await pause(pauseMs, signal);
        if (signal.aborted) throw error;
      } finally {
        this.#startedAt = 0;
      }
    }
  }

  #join(rows: readonly Buffer[]): Buffer {
    const length = rows.reduce((sum, piece) => sum + piece.length, 0);
    if (length > this.#memory.length) this.#memory = Buffer.allocUnsafeSlow(length);
    let end = 0;
    for (const piece of rows) end += piece.copy(this.#memory, end);
    return this.#memory.subarray(0, end);
  }
}
