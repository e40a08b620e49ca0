/** Defines what an insert means, and which lines it may contain. */
import { RefusedRows } from '../errors.ts';
import { insertConsistency, type TableEngine } from './table-engine.ts';

/**
 * Every default that decides what an insert means is set explicitly, because defaults change between releases. One
 * click with an extreme date must not stop the pipeline, so an insert may touch any number of partitions. A value of
 * the wrong type is refused rather than written as text, as the aggregator refuses it.
 */
const insertSettings: Readonly<Record<string, number | string>> = {
  async_insert: 0,
  insert_deduplicate: 1,
  deduplicate_blocks_in_dependent_materialized_views: 1,
  input_format_skip_unknown_fields: 1,
  input_format_null_as_default: 1,
  input_format_defaults_for_omitted_fields: 1,
  input_format_json_read_numbers_as_strings: 0,
  input_format_json_read_bools_as_strings: 0,
  input_format_json_read_bools_as_numbers: 0,
  input_format_json_read_objects_as_strings: 0,
  input_format_json_read_arrays_as_strings: 0,
  input_format_allow_errors_num: 0,
  input_format_allow_errors_ratio: 0,
  date_time_input_format: 'best_effort',
  // More threads would parse faster but cost more CPU, which others need.
  input_format_parallel_parsing: 0,
  max_partitions_per_insert_block: 1000,
  throw_on_max_partitions_per_insert_block: 0,
};

const listOf = (settings: Readonly<Record<string, number | string>>) =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? `'${value}'` : value}`)
    .join(', ');

/**
 * Raw clicks seldom repeat within an insert. Looking for repeated ones takes a tenth of the insert, and every merge and
 * every read looks for them anyway. Counts come in several versions when a backlog is inserted, and the last version is
 * enough.
 */
export function insertSettingsIn(engine: TableEngine): (table: string) => string {
  const list = listOf({ ...insertSettings, ...insertConsistency(engine) });
  return table => `${list}, optimize_on_insert=${table === 'click_raw' ? 0 : 1}`;
}

/**
 * Removes blank lines. A blank line is not a row, and after a statement it may be taken for the end of the rows. A line
 * that does not begin as its format requires is refused before it is sent. @throws RefusedRows
 */
export function withoutBlankLines(ndjson: Buffer): Buffer {
  const hasBlankLine = ndjson[0] === newline || ndjson.includes('\n\n');
  const rows = hasBlankLine
    ? Buffer.from(
        ndjson
          .toString()
          .replace(/\n{2,}/g, '\n')
          .replace(/^\n/, ''),
      )
    : ndjson;
  const begin = formatOf(rows) === 'JSONEachRow' ? brace : bracket;
  for (let at = 0; at < rows.length; ) {
    if (rows[at] !== begin) throw strayLine(rows.subarray(at, at + 40), begin);
    const end = rows.indexOf(newline, at);
    at = end === -1 ? rows.length : end + 1;
  }
  return rows;
}

/**
 * Returns the format of rows that are lines of JSON: objects, or arrays of the values of all columns in the table's
 * order.
 */
export function formatOf(rows: Buffer): 'JSONEachRow' | 'JSONCompactEachRow' {
  return rows[0] === bracket ? 'JSONCompactEachRow' : 'JSONEachRow';
}

const newline = 0x0a;
const brace = 0x7b;
const bracket = 0x5b;

function strayLine(begin: Buffer, expected: number): RefusedRows {
  const text = JSON.stringify(begin.toString().trim());
  return new RefusedRows(`a line does not begin with "${String.fromCharCode(expected)}": ${text}`);
}
