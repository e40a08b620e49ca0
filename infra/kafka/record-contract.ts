/**
 * CONTRACT: how a record says what it is, on every topic.
 *
 * - Header `kind` tells what a record's value is; which kinds a topic has, and in which formats, the owner of its shape
 *   says in a `RecordContract`. On `clicks` it says nothing: whatever is written there is lines, by whomever.
 * - Header `adclicks_format` is the number of the kind's format. A record without it is of format 1: such are all records
 *   of release 0.1.0, and those of `clicks` that other producers write, whatever headers they set.
 * - Who meets a kind or a format that it does not know **stands before it**: it commits nothing from there on, says so
 *   (log, metric, readiness), and waits to be replaced by a newer release, which goes on from there. It never passes over.
 * - Within a format, objects of JSON may gain fields, and readers pass over those they do not know. The meaning and type
 *   of a field stay, and none goes that a reader of the release before needs. Lines that are arrays never change.
 * - Whatever else may change has a new number or a new kind, and a writer uses it only once the release before can read
 *   it, or where somebody asks for what no older process may take part in: so releases that follow each other run side
 *   by side, upgraded and set back in any order (infra/UPGRADING.md).
 */
import { UnknownFormat } from '../errors.ts';
import { gauge } from '../metrics.ts';
import { release } from '../release.ts';
import type { LogRecord } from './record-batch.ts';

/** The kinds of records of a topic, and of each the formats that this release reads. */
export type RecordContract = ReadonlyMap<string, ReadonlySet<string>>;

/** Stands for every kind, and for none, on a topic where the kind does not matter. */
export const anyKind = '*';

export function recordContract(kinds: Readonly<Record<string, readonly number[]>>): RecordContract {
  return new Map(Object.entries(kinds).map(([kind, formats]) => [kind, new Set(formats.map(String))]));
}

export function formatHeader(format: number): { readonly adclicks_format: string } {
  return { adclicks_format: String(format) };
}

/** @throws UnknownFormat for a record that this release cannot read for what it is */
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
    `${what} is unknown to release ${release}, which knows ${known}. Nothing is passed over: it stands here until this ` +
      'process is replaced by the release that wrote it, or a newer one (infra/UPGRADING.md)',
  );
}

/** By whom (a consumer group, or what reads), and where. */
export const unknownFormats = gauge(
  'format_unknown',
  '1 where a reader stands before what a newer release has written: this process is to be replaced by that release',
  ['reader', 'topic', 'partition'],
);

function shown(header: string, value: unknown): string {
  return value === undefined
    ? `a record without header ${header}`
    : `header ${header} ${JSON.stringify(String(value).slice(0, 60))}`;
}
