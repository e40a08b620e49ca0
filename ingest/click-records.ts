/**
 * CONTRACT: defines the records of topic `clicks`.
 *
 * The value of a record is lines, and each line is a click (click.ts). A record without lines is a tick. Header
 * `adclicks_format` says in which format the lines are (infra/kafka/record-contract.ts). A record without it has format
 * 1, so other producers need no header. No other header changes the meaning of the lines. New releases may add headers,
 * and older releases ignore them.
 *
 * Format 1 is lines of JSON that may gain fields, because readers use only the fields that they know.
 */
import { anyKind, formatHeader, recordContract } from '../infra/kafka/record-contract.ts';

/** The formats that this release can read. */
export const clickContract = recordContract({ [anyKind]: [1] });

/** The headers of each record that ingest writes. */
export const clickHeaders = formatHeader(1);
