/**
 * Returns the records of a batch up to the first one that this release does not know. The records before it are still
 * stored.
 */
import { UnknownFormat } from '../../infra/errors.ts';
import type { FetchedBatch } from '../../infra/kafka/group-consumer.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { assertKnown, type RecordContract } from '../../infra/kafka/record-contract.ts';

export class KnownRecords implements Iterable<LogRecord> {
  readonly #batch: FetchedBatch;
  readonly #contract: RecordContract;
  #end: { readonly offset: number; readonly error: UnknownFormat } | undefined;
  #isRead = false;

  constructor(batch: FetchedBatch, contract: RecordContract) {
    this.#batch = batch;
    this.#contract = contract;
  }

  *[Symbol.iterator](): Generator<LogRecord> {
    for (const record of this.#batch.records) {
      try {
        assertKnown(this.#contract, this.#batch, record);
      } catch (error) {
        if (!(error instanceof UnknownFormat)) throw error;
        this.#end = { offset: record.offset, error };
        break;
      }
      yield record;
    }
    this.#isRead = true;
  }

  /** To be read after the records: why they end before the batch does, or undefined if they do not. */
  get endedBy(): UnknownFormat | undefined {
    return this.#end?.error;
  }

  /** To be read after the records: the known part of the batch. Before, it would be the whole one, unknown records too. */
  get batch(): FetchedBatch {
    if (!this.#isRead) throw new Error('the known part of a batch is known only when its records were read');
    return this.#end === undefined ? this.#batch : { ...this.#batch, records: this, nextOffset: this.#end.offset };
  }
}
