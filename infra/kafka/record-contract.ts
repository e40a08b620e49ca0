/**
 * CONTRACT: defines how a record says what it is, on every topic.
 *
 * - Header `kind` says what the value of a record is. The owner of the record's shape defines which kinds a topic has,
 *   and in which formats, in a `RecordContract`. On `clicks` the header has no meaning: every value there is lines,
 *   whoever wrote it.
 * - Header `adclicks_format` is the number of the kind's format. A record without it has format 1. That is true of all
 *   records of release 0.1.0, and of records on `clicks` from other producers, whatever headers they set.
 * - A process that meets an unknown kind or format **halts before it**. It commits nothing from there on, reports it
 *   (log, metric, readiness), and waits to be replaced by a newer release, which continues from there. It never skips
 *   the record.
 * - Within a format, JSON objects may gain fields, and readers ignore those that they do not know. The meaning and type
 *   of a field stay, and no field is removed that a reader of the previous release needs. Lines that are arrays never
 *   change.
 * - Any other change gets a new number or a new kind. A writer uses it only once the previous release can read it, or
 *   when somebody asks for something in which no older process may take part. So consecutive releases can run side by
 *   side, and can be upgraded and downgraded in any order (infra/UPGRADING.md).
 */
import { UnknownFormat } from '../errors.ts';
import { gauge } from '../metrics.ts';
import { release } from '../release.ts';
import type { LogRecord } from './record-batch.ts';

/** The kinds of records of a topic, each with the formats that this release can read. */
export type RecordContract = ReadonlyMap<string, ReadonlySet<string>>;

/** Stands for every kind, and for none, on a topic where the kind does not matter. */
export const anyKind = '*';

export function recordContract(kinds: Readonly<Record<string, readonly number[]>>): RecordContract {
  return new Map(Object.entries(kinds).map(([kind, formats]) => [kind, new Set(formats.map(String))]));
}

export function formatHeader(format: number): { readonly adclicks_format: string } {
  return { adclicks_format: String(format) };
}

/** @throws UnknownFormat for a record that this release cannot read */
export function assertKnown(
  contract: RecordContract,
  { topic, partition }: { readonly topic: string; readonly partition: number },
  { offset, headers }: Pick<LogRecord, 'offset' | 'headers'>,
): void {
  const kind = headers?.['kind'];
  const format = headers?.['adclicks_format'];
  const formats = contract.get(anyKind) ?? contract.get(String(kind));
  if (formats?.has(format === undefined ? '1' : String(format))) return;
  const [found, known] =
    formats === undefined
      ? [shown('kind', kind), `kinds ${[...contract.keys()].join(', ')}`]
      : [`${shown('adclicks_format', format)} of ${shown('kind', kind)}`, `formats ${[...formats].join(', ')}`];
  throw unknown(`topic ${topic}, partition ${partition}, offset ${offset}: ${found}`, known);
}

/** `what` was found where this release knows only `known`. */
export function unknown(what: string, known: string): UnknownFormat {
  return new UnknownFormat(
    `${what} is unknown to release ${release}, which knows ${known}. No record is skipped: reading stops here until this ` +
      'process is replaced by the release that wrote it, or a newer one (infra/UPGRADING.md)',
  );
}

/** By reader (a consumer group or another reader) and place. */
export const unknownFormats = gauge(
  'format_unknown',
  '1 while a reader is stopped at a record that a newer release has written: replace this process by that release',
  ['reader', 'topic', 'partition'],
);

function shown(header: string, value: unknown): string {
  return value === undefined
    ? `a record without header ${header}`
    : `header ${header} ${JSON.stringify(String(value).slice(0, 60))}`;
}
