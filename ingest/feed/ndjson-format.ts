/** Reads NDJSON, in which each line is an object. Each line of our own exports becomes the click that it was. */
import { messageOf } from '../../infra/errors.ts';
import { exportedRow, kindOf } from './exported-row.ts';
import { type Columns, type Format, lineFormat, type Row } from './format.ts';

export function ndjsonFormat(): Format {
  // A closed object is the whole line: nothing that is written behind it later could belong to it.
  return { ...lineFormat(rowOf), isWhole: text => 'columns' in rowOf(text) };
}

function rowOf(text: string): Row {
  try {
    const json: unknown = JSON.parse(text);
    if (!isObject(json)) return { problem: 'not a JSON object' };
    const kind = kindOf(Object.keys(json));
    return kind === undefined ? { columns: json } : exportedRow(kind, json);
  } catch (error) {
    return { problem: `not JSON: ${messageOf(error)}` };
  }
}

function isObject(json: unknown): json is Columns {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}
