/**
 * Builds the content of one commit of a partition: the core's output as Kafka records, and its checkpoint with the
 * offset.
 */
import { formatHeader } from '../infra/kafka/record-contract.ts';
import { type BinaryRecord, sendsOf } from '../infra/kafka/sends.ts';
import type { TransactionContent } from '../infra/kafka/transactional-producer.ts';
import type { Names } from '../infra/topics.ts';
import { judgedFormat, type Progress, type QuarantineRow, recordKinds, rowFormat } from './ad-minute.ts';
import { encodeCheckpoint } from './commit-metadata.ts';
import type { Output } from './core/output.ts';

const recordBytes = 256 << 10;

/** `partitions` is the number of partitions over which the clicks up to the output's watermark may be spread. */
export function transactionOf(partition: number, names: Names, output: Output, partitions: number): TransactionContent {
  const row: Progress = { ...output.progress, partitions };
  const countsFormat = output.isJudged ? judgedFormat : rowFormat;
  const rows = output.rowChunks.map(chunk =>
    record(partition, recordKinds.adMinute, Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length), countsFormat),
  );
  // Progress comes after the rows that it covers, because readers trust that these are there.
  const progress = record(partition, recordKinds.progress, Buffer.from(`${JSON.stringify(row)}\n`));
  const quarantined = linesOf(output.quarantined).map(value => record(partition, recordKinds.quarantine, value));
  return {
    sends: [
      ...sendsOf(names.topic('quarantine'), quarantined),
      ...sendsOf(names.topic('aggregates'), [...rows, progress]),
    ],
    group: names.aggregatorGroup,
    topic: names.topic('clicks'),
    partition,
    commit: { offset: output.position, metadata: encodeCheckpoint(output.checkpoint) },
  };
}

function record(partition: number, kind: string, value: Buffer, format = rowFormat): BinaryRecord {
  return { partition, value, headers: { kind, ...formatHeader(format) } };
}

/** Encodes rows as NDJSON values of at most `recordBytes`. A single larger row is a value of its own. */
function linesOf(rows: readonly QuarantineRow[]): Buffer[] {
  const values: Buffer[] = [];
  let lines = '';
  for (const row of rows) {
    lines += `${JSON.stringify(row)}\n`;
    if (lines.length < recordBytes) continue;
    values.push(Buffer.from(lines));
    lines = '';
  }
  if (lines !== '') values.push(Buffer.from(lines));
  return values;
}
