/**
 * Maps the columns of a row, in any format, to the fields of a click, or returns the rule that says why it is none. A
 * field comes from the column that `--map` names, from that of the format, or from a column with the field's name.
 * `query:NAME` is a parameter of the request's URL, and `--ad-id path` is the last part of its path.
 */
import { ConfigError } from '../../infra/errors.ts';
import { optionalFields } from '../click-body.ts';
import type { Columns } from './format.ts';
import { rowTime } from './row-time.ts';

const identityFields = ['ad_id', 'clicked_at', 'event_id'] as const;
const clickFields = [...identityFields, ...optionalFields] as const;
/** What a row may say of its request besides. */
const requestFields = ['url', 'method', 'status'] as const;
const fields = [...clickFields, ...requestFields];
type Field = (typeof fields)[number];

export type ColumnOf = Readonly<Partial<Record<Field, string>>>;

export interface MappingOptions {
  readonly columnOf: ColumnOf;
  /** `path`, `query:NAME`, or a column. */
  readonly adId: string | undefined;
  /** Requests that count as clicks, when a row contains its method, status and path. */
  readonly methods: readonly string[];
  readonly statuses: readonly (readonly [from: number, to: number])[];
  readonly path: string | undefined;
}

const maxNamesLength = 500;

export type Mapped =
  | { readonly kind: 'click'; readonly fields: Readonly<Record<string, unknown>>; readonly unit: string | undefined }
  | { readonly kind: 'skipped'; readonly rule: string }
  | { readonly kind: 'unreadable'; readonly message: string };

export interface Mapping {
  readonly map: (columns: Columns) => Mapped;
  /** Returns what cannot be found among columns of these names, as a sentence. */
  readonly missing: (names: readonly string[]) => string | undefined;
  /** Returns whether a column is used for a click or was asked for. */
  readonly isUsed: (column: string) => boolean;
  readonly columnOf: (field: string) => string;
}

/** `ofFormat` says where a format has the fields that it has. */
export function createMapping(options: MappingOptions, ofFormat: ColumnOf): Mapping {
  const sources = createSources(options, ofFormat);
  const { columnOf, sourceOf, isPath, isOfUrl } = sources;
  const used = new Set(fields.flatMap(field => [sourceOf(field), sourceOf(field).split('.')[0]]));
  const skippedBy = createFilter(options, sources);

  const fieldOf = (columns: Columns, field: Field, url: URL | undefined): unknown => {
    const source = sourceOf(field);
    if (isPath(field)) return url && lastPartOf(url);
    return isOfUrl(field) ? url?.searchParams.get(source.slice('query:'.length)) : valueAt(columns, source);
  };

  return {
    columnOf: field => sourceOf(fields.find(known => known === field) ?? 'url'),
    isUsed: column => used.has(column),
    missing(names) {
      const isThere = (field: Field) => names.includes(isOfUrl(field) ? columnOf('url') : sourceOf(field));
      const columns = `the columns are ${names.join(', ').slice(0, maxNamesLength)}`;
      for (const field of fields.filter(each => !isThere(each))) {
        const problem = problemWithout(field, columns, options, sources);
        if (problem) return problem;
      }
      return undefined;
    },
    map(columns) {
      const url = urlOf(valueAt(columns, columnOf('url')));
      const rule = skippedBy(columns, url);
      if (rule) return { kind: 'skipped', rule };
      const click: Record<string, unknown> = {};
      for (const field of clickFields) {
        const value = fieldOf(columns, field, url);
        if (value !== undefined && value !== null && value !== '') click[field] = value;
      }
      if (click['ad_id'] === undefined && isOfUrl('ad_id')) return { kind: 'skipped', rule: '--ad-id' };
      const at = click['clicked_at'] === undefined ? undefined : rowTime(click['clicked_at']);
      if (at && 'problem' in at) return { kind: 'unreadable', message: `clicked_at: ${at.problem}` };
      return { kind: 'click', fields: at ? { ...click, clicked_at: at.time } : click, unit: at?.unit };
    },
  };
}

/** Where each field comes from. */
interface Sources {
  columnOf(field: Field): string;
  /** The column, or what `--ad-id` says. */
  sourceOf(field: Field): string;
  isPath(field: Field): boolean;
  isOfUrl(field: Field): boolean;
  /** Whether the user or the format says where the field is. */
  isStated(field: Field): boolean;
}

function createSources(options: MappingOptions, ofFormat: ColumnOf): Sources {
  const stated = (field: Field) => options.columnOf[field] ?? ofFormat[field];
  const columnOf = (field: Field): string => stated(field) ?? field;
  const sourceOf = (field: Field) => (field === 'ad_id' ? options.adId : undefined) ?? columnOf(field);
  const isPath = (field: Field) => field === 'ad_id' && options.adId === 'path';
  const isOfUrl = (field: Field) => isPath(field) || sourceOf(field).startsWith('query:');
  return { columnOf, sourceOf, isPath, isOfUrl, isStated: field => stated(field) !== undefined };
}

/** Returns a function that names the option by which a row is no click, if there is one. */
function createFilter({ methods, statuses, path }: MappingOptions, { columnOf, isStated }: Sources) {
  const allowedMethods = new Set(methods);
  return (columns: Columns, url: URL | undefined): string | undefined => {
    // A column `status` means nothing unless the format or the user says that it is the status of a request.
    if (isStated('method')) {
      const method = String(valueAt(columns, columnOf('method'))).toUpperCase();
      if (!allowedMethods.has(method)) return '--method';
    }
    if (isStated('status')) {
      const status = Number(valueAt(columns, columnOf('status')));
      if (!statuses.some(([from, to]) => status >= from && status <= to)) return '--status';
    }
    return path === undefined || url?.pathname.startsWith(path) ? undefined : '--path';
  };
}

/** Returns what to do about a field that is not there, or undefined where a click needs none. */
function problemWithout(
  field: Field,
  columns: string,
  options: MappingOptions,
  { isOfUrl, isStated }: Sources,
): string | undefined {
  if (options.columnOf[field]) return `--map ${field}=${options.columnOf[field]}: ${columns}`;
  if (field === 'ad_id' && options.adId)
    return isOfUrl(field)
      ? `--ad-id ${options.adId}: there is no column url (${columns}); give --map url=<column>`
      : `--ad-id ${options.adId}: ${columns}`;
  if (field === 'ad_id' && isStated('url'))
    return 'nothing says which ad a request belongs to; give --ad-id path or --ad-id query:NAME';
  if (field === 'ad_id' || field === 'clicked_at')
    return `there is no column ${field} (${columns}); give --map ${field}=<column>`;
  return undefined;
}

/** Parses `ad_id=banner,clicked_at=time`. The name of a column may contain commas. */
export function parseMap(text: string): ColumnOf {
  const columnOf: Partial<Record<Field, string>> = {};
  for (const pair of text.split(pairBorder)) {
    const [name, column] = pair.split(/=(.*)/s).map(part => part.trim());
    const field = fields.find(known => known === name);
    if (!field || !column)
      throw new ConfigError(`--map ${pair}: must be field=column, field one of ${fields.join(', ')}`);
    columnOf[field] = column;
  }
  return columnOf;
}

/**
 * A comma followed by a name and `=`, whether the name is known or not: `a=x,clik=y` is a mistake, and not a column
 * `x,clik=y`.
 */
const pairBorder = /,(?=\s*\w+\s*=)/;

/** Returns the value of a column of that name, or of a field inside one: `request.url`. */
function valueAt(columns: Columns, source: string): unknown {
  if (Object.hasOwn(columns, source)) return columns[source];
  if (!source.includes('.')) return undefined;
  return source.split('.').reduce<unknown>((value, part) => partOf(value, part), columns);
}

function partOf(value: unknown, part: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([name]) => name === part)?.[1]
    : undefined;
}

/** Often only the part behind the host is given. */
function urlOf(value: unknown): URL | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.startsWith('/') ? `http://host${value}` : value;
  return URL.canParse(text) ? new URL(text) : undefined;
}

function lastPartOf({ pathname }: URL): string | undefined {
  const part = pathname.split('/').findLast(each => each !== '');
  try {
    return part === undefined ? undefined : decodeURIComponent(part);
  } catch {
    return part;
  }
}
