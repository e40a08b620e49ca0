/**
 * CONTRACT: the records of topic `clicks`. A record's value is lines, each a click (click.ts); one without lines is a
 * tick. Header `adclicks_format` says in which format the lines are (infra/kafka/record-contract.ts); a record without it is
 * of format 1: other producers need no header. No other header changes what the lines mean: releases add some, and who
 * does not know them passes over them.
 *
 * Format 1: lines of JSON that may gain fields, as readers take those they know.
 */
import { anyKind, formatHeader, recordContract } from '../infra/kafka/record-contract.ts';

/** What this release reads. */
export const clickContract = recordContract({ [anyKind]: [1] });

/** Of each record that ingest writes. */
export const clickHeaders = formatHeader(1);
