/**
 * CONTRACT: says what is kept of a click and of a quarantined line whose person was erased (ingest/privacy/erasure-record.ts).
 *
 * Pure. Rows are inserted so, and rows that are in a table already are changed to the same (row-eraser.ts). Therefore a node
 * that reads an old click from the log again has the same row as its replica, which has had it for weeks.
 */
import type { ErasedForm } from '../../ingest/privacy/erasure-book.ts';
import { addressTokenOf } from '../../ingest/privacy/erasure-record.ts';

/** What the sink needs to know about erasures. */
export interface Erased {
  /** Nothing that was clicked at this time (epoch ms) or later is erased. */
  readonly newestUntil: number;
  erasedFor(userId: string | Uint8Array, clickedAt: number): ErasedForm | undefined;
}

/** Removed as a whole. They say something about a person, and nothing that is counted depends on them. */
export const removedFields = ['user_agent', 'referrer'] as const;

type Fields = Record<string, unknown>;

/** Returns the canonical line of a click as it is kept, or undefined if it is kept as it is. */
export function erasedClick(line: string, erased: Erased): string | undefined {
  const fields = JSON.parse(line) as Fields;
  const { user_id: userId, clicked_at: clickedAt } = fields;
  if (typeof userId !== 'string' || Number(clickedAt) >= erased.newestUntil) return undefined;
  const found = erased.erasedFor(userId, Number(clickedAt));
  return found && JSON.stringify(without(fields, found));
}

/** The parts of a row of table `quarantine` that matter here. */
export interface LineRow {
  readonly reason: string;
  readonly detail: string;
  readonly appended_at: number;
  readonly clicked_at: number;
  readonly raw: string;
}

/**
 * Returns the texts of a row as they are kept, or undefined if they are kept as they are. A line that is no JSON, or that
 * names the person elsewhere than in its field `user_id`, is removed whole.
 */
export function erasedLine(row: LineRow, erased: Erased): Pick<LineRow, 'detail' | 'raw'> | undefined {
  const at = timeOf(row);
  const found = usersIn(row.raw)
    .map(userId => erased.erasedFor(userId, at))
    .find(each => each !== undefined);
  if (found === undefined) return undefined;
  // It may repeat what the line contains.
  const detail = row.reason === 'malformed' || row.reason === 'refused' ? 'erased' : row.detail;
  const fields = objectIn(row.raw);
  const raw = typeof fields?.['user_id'] === 'string' ? JSON.stringify(without(fields, found)) : '';
  const isWhole = raw !== '' && raw.length <= mostCharacters && usersIn(raw).every(user => !erased.erasedFor(user, at));
  return { detail, raw: isWhole ? raw : JSON.stringify({ erased: found.token }) };
}

/** A row may have no event time, or one far ahead. */
function timeOf({ appended_at, clicked_at }: Pick<LineRow, 'appended_at' | 'clicked_at'>): number {
  return clicked_at > 0 ? Math.min(clicked_at, appended_at) : appended_at;
}

/** A longer line is removed whole, because a statement cannot contain it. */
const mostCharacters = 4_096;

/**
 * Returns whom a line names, by the rule of `usersIn` in infra/clickhouse/erasing.ts: in its field `user_id`, and wherever
 * `"user_id":` stands before a text without escapes or a number.
 */
function usersIn(raw: string): (string | Uint8Array)[] {
  const userId = objectIn(raw)?.['user_id'];
  const text = raw.startsWith(base64) ? Buffer.from(raw.slice(base64.length), 'base64').toString('latin1') : raw;
  const found = [...text.matchAll(/"user_id"[ \t]*:[ \t]*(?:"([^"\\]*)"|(-?[0-9]+))/g)].map(
    match => match[1] ?? match[2] ?? '',
  );
  const named = raw.startsWith(base64) ? found.map(each => Buffer.from(each, 'latin1')) : found;
  return typeof userId === 'string' ? [userId, ...named] : named;
}

const base64 = 'base64:';

function objectIn(raw: string): Fields | undefined {
  try {
    const json: unknown = JSON.parse(raw);
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Fields) : undefined;
  } catch {
    return undefined;
  }
}

function without(fields: Fields, { token, secret }: ErasedForm): Fields {
  const { ip, ...others } = fields;
  for (const field of removedFields) delete others[field];
  const address = typeof ip === 'string' && ip !== '' ? { ip: addressTokenOf(secret, ip) } : {};
  return { ...others, user_id: token, ...address };
}
