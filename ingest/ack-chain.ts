/**
 * CONTRACT: defines what the header `acks` of a record of topic `clicks` says about acknowledgements, so that the log
 * itself shows a click that ingest acknowledged but that never reached the log (infra/decisions/018).
 *
 * Every ingest process is a *writer*, with an id (a ULID) that no other process ever has. It appends batch after batch
 * to each partition, numbered from 1, and never two at a time. Before the next batch begins, the brokers have
 * acknowledged the one before, or that one is *in doubt* forever: it may be in the log, now or later, and no client was
 * told that it is. Every record of a batch has the same header. It says what had become of the earlier batches when
 * this one began:
 *
 *     1 . writer . batch . lines . last . outcomes . total
 *
 * - `lines`: click lines of this batch, in all of its records;
 * - `last`: the latest earlier batch that was acknowledged, or 0 if none was;
 * - `outcomes`: the outcomes of the 32 batches before, in hexadecimal; bit i is set if batch `batch - 1 - i` was
 *   acknowledged;
 * - `total`: click lines of all acknowledged batches before this one.
 *
 * An acknowledged batch is in its partition before all batches that name it as acknowledged; otherwise it is lost. A
 * reader of the partition in order sees every loss exactly, as soon as the writer's next batch comes. If none comes
 * within about a second, and before the writer ends, the writer appends a *statement*: a batch of one record without
 * lines. It reads like a tick.
 *
 * This module has no clock and sends nothing. The numbers suffice for 2^53 batches and lines per partition.
 */

import type { Headers } from '../infra/kafka/record-batch.ts';

export interface AckChain {
  /**
   * Begins a batch of `lines` click lines that is about to be appended to `partition`. At most one batch per partition
   * is in progress, and each of its records carries the header. With 0 lines it is a statement.
   */
  begin(partition: number, lines: number): { readonly batch: number; readonly header: string };
  /** The brokers have acknowledged the batch. A batch for which this is never called stays in doubt. */
  acknowledged(partition: number, batch: number): void;
  /**
   * Partitions whose last acknowledged batch is not yet named by any record in the log, as far as is known. A batch in
   * progress may name it.
   */
  owed(): readonly number[];
}

/** Name of the record header. */
export const ackHeader = 'acks';

/** The number of earlier batches whose outcomes a header lists one by one. */
export const knownOutcomes = 32;

/** `writer` is a ULID that is created when the process starts (click-id.ts) and never used again. */
export function createAckChain(writer: string): AckChain {
  if (!writerPattern.test(writer)) throw new RangeError(`writer: must be a ULID: ${JSON.stringify(writer)}`);
  const links = new Map<number, Link>();
  const linkOf = (partition: number) => {
    let link = links.get(partition);
    if (link === undefined) {
      link = { batch: 0, lines: 0, isAcknowledged: false, last: 0, outcomes: 0, total: 0, named: 0, beganAt: 0 };
      links.set(partition, link);
    }
    return link;
  };
  return {
    begin(partition, lines) {
      const link = linkOf(partition);
      if (link.batch > 0) link.outcomes = ((link.outcomes << 1) | Number(link.isAcknowledged)) >>> 0;
      link.batch++;
      link.lines = lines;
      link.isAcknowledged = false;
      link.beganAt = link.total;
      const { batch, last, outcomes, total } = link;
      return { batch, header: formatAcks({ writer, batch, lines, last, outcomes, total }) };
    },
    acknowledged(partition, batch) {
      const link = linkOf(partition);
      if (batch !== link.batch || link.isAcknowledged) {
        throw new RangeError(
          `batch ${batch} of partition ${partition} is not under way: the last one is ${link.batch}`,
        );
      }
      link.isAcknowledged = true;
      link.last = batch;
      link.total += link.lines;
      link.named = link.beganAt;
    },
    owed() {
      return [...links].flatMap(([partition, { total, named }]) => (total > named ? [partition] : []));
    },
  };
}

/** What one writer has done in one partition. */
interface Link {
  /** The batch that began last, its number of lines, and whether it was acknowledged. */
  batch: number;
  lines: number;
  isAcknowledged: boolean;
  /** The values of the next header, without the batch that began last. */
  last: number;
  outcomes: number;
  total: number;
  /** The total in the last acknowledged batch. */
  named: number;
  /** The total in the last batch. */
  beganAt: number;
}

/** A parsed header. */
export interface Acks {
  readonly writer: string;
  readonly batch: number;
  readonly lines: number;
  readonly last: number;
  readonly outcomes: number;
  readonly total: number;
}

export function formatAcks({ writer, batch, lines, last, outcomes, total }: Acks): string {
  return `${version}.${writer}.${batch}.${lines}.${last}.${outcomes.toString(16)}.${total}`;
}

/** Returns the header of a record, whatever another producer may have put there, or undefined if there is none. */
export function acksOf(headers: Headers | undefined): string | undefined {
  const value = headers?.[ackHeader];
  if (value === undefined || typeof value === 'string') return value;
  // Several headers of this name count as none.
  return Array.isArray(value) ? '' : value.toString('latin1', 0, longestHeader + 1);
}

/** Returns undefined for a header that is not of this format or contradicts itself. */
export function readAcks(header: string): Acks | undefined {
  const found = headerPattern.exec(header);
  if (found === null) return undefined;
  const [, writer = '', batch, lines, last, outcomes = '', total] = found;
  const acks = {
    writer,
    batch: Number(batch),
    lines: Number(lines),
    last: Number(last),
    outcomes: Number.parseInt(outcomes, 16),
    total: Number(total),
  };
  const isSound = acks.last < acks.batch && (acks.last > 0 || acks.total === 0);
  return isSound ? acks : undefined;
}

/**
 * Returns whether the header says that `batch`, which came before its own, was acknowledged. Returns undefined if that
 * batch is too old to be listed.
 */
export function wasAcknowledged({ batch: own, last, outcomes }: Acks, batch: number): boolean | undefined {
  if (batch >= last) return batch === last;
  const bit = own - 1 - batch;
  return bit < knownOutcomes ? ((outcomes >>> bit) & 1) === 1 : undefined;
}

/** Returns when the writer's id was created, by the writer's own clock, in epoch ms. */
export function mintedAt(writer: string): number {
  let time = 0;
  for (let i = 0; i < 10; i++) time = time * 32 + alphabet.indexOf(writer[i] ?? '');
  return time;
}

const version = 1;
const longestHeader = 128;
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const writerPattern = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
/** At most 15 digits, so that every number is exact. Only the totals may be 0. */
const headerPattern =
  /^1\.([0-7][0-9A-HJKMNP-TV-Z]{25})\.([1-9]\d{0,14})\.(0|[1-9]\d{0,14})\.(0|[1-9]\d{0,14})\.([0-9a-f]{1,8})\.(0|[1-9]\d{0,14})$/;
