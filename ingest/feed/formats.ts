/**
 * Lists the formats by name, with how each is recognized by a file's first line, and where it has the fields of a
 * click.
 */
import { ConfigError } from '../../infra/errors.ts';
import { albColumns, albFormat, combinedColumns, combinedFormat, w3cFormat } from './access-log-formats.ts';
import { csvFormat } from './csv-format.ts';
import type { Format, FormatName } from './format.ts';
import { type ColumnOf, createMapping, type Mapping } from './mapping.ts';
import { ndjsonFormat } from './ndjson-format.ts';
import type { FeedOptions } from './options.ts';

/** Decides by the first line that is not blank. */
export function formatOf(line: string): FormatName {
  if (/^\s*\{/.test(line)) return 'ndjson';
  if (/^#(Version|Fields|Software|Date|Start-Date|Remark):/.test(line)) return 'w3c';
  if ('columns' in (albFormat().read(lineOf(line))[0]?.row ?? {})) return 'alb';
  return 'columns' in (combinedFormat().read(lineOf(line))[0]?.row ?? {}) ? 'combined' : 'csv';
}

const ofRequests = { url: 'url', method: 'method', status: 'status' };
const w3cFields: ColumnOf = {
  ...{ url: 'url', method: 'cs-method', status: 'sc-status', ip: 'c-ip', event_id: 'x-edge-request-id' },
  ...{ user_agent: 'cs(User-Agent)', referrer: 'cs(Referer)' },
};
const fieldsOf: Readonly<Record<FormatName, ColumnOf>> = {
  combined: { ...ofRequests, clicked_at: 'time', referrer: 'referer' },
  alb: { ...ofRequests, clicked_at: 'time' },
  cloudfront: w3cFields,
  w3c: w3cFields,
  csv: {},
  ndjson: {},
};

export function mappingOf(name: FormatName, options: FeedOptions): Mapping {
  const mapping = createMapping(options.mapping, fieldsOf[name]);
  const columns = { combined: combinedColumns, alb: albColumns, cloudfront: undefined, w3c: undefined };
  const known = name === 'csv' || name === 'ndjson' ? undefined : (columns[name] ?? w3cAssumed(options));
  const missing = known && mapping.missing(known);
  if (missing) throw new ConfigError(`${name}: ${missing}`);
  return mapping;
}

/** `header` is that of the file which this one continues. */
export function openFormat(
  name: FormatName,
  mapping: Mapping,
  header: string | undefined,
  options: FeedOptions,
): Format {
  switch (name) {
    case 'combined':
      return combinedFormat();
    case 'alb':
      return albFormat();
    case 'cloudfront':
    case 'w3c':
      return w3cFormat(header);
    case 'csv':
      return csvFormat({ ...options.csv, header, missing: mapping.missing });
    case 'ndjson':
      return ndjsonFormat();
  }
}

/** The names in its `#Fields:` line are not known yet. The requested columns are assumed to be there. */
function w3cAssumed({ mapping: { columnOf, adId } }: FeedOptions): string[] {
  return ['url', 'clicked_at', ...Object.values(columnOf), ...(adId ? [adId] : [])];
}

function lineOf(text: string) {
  return { number: 1, start: 0, end: 0, text, bytes: Buffer.alloc(0), bytesAt: 0, isEnded: true, problem: undefined };
}
