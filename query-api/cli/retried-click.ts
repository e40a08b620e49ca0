/**
 * Makes the click to post again from a quarantined line. A line keeps its own `event_id`; a line without one gets an id made
 * of its place in the log. So a line that is retried twice counts once. Ingest judges whether the result is a valid click.
 * Pure.
 */
import type { QuarantinedLine } from './quarantined-lines.ts';

export type Retried = { readonly ok: true; readonly json: string } | { readonly ok: false; readonly problem: string };

/** For a field of a click, the field of the line that holds it. */
export type FieldMap = Readonly<Record<string, string>>;

/** `raw` is the line as it stands in quarantine, or as a `--fix` command has corrected it. */
export function retriedClick(line: QuarantinedLine, raw: string, map: FieldMap): Retried {
  const fields = parsed(raw);
  if (fields === undefined) return { ok: false, problem: `the line is not a JSON object${hint(raw)}` };
  const click = { ...fields };
  for (const [field, source] of Object.entries(map)) {
    if (Object.hasOwn(fields, source)) click[field] = fields[source];
  }
  if ((click['clicked_at'] ?? null) === null) return { ok: false, problem: 'clicked_at is not given, but must be' };
  const eventId = click['event_id'] ?? (line.event_id || placeId(line));
  return { ok: true, json: JSON.stringify({ ...click, event_id: eventId }) };
}

/** `quarantine-<partition>-<offset>-<line>`: a line always gets the same id. */
function placeId({ partition, offset, line }: QuarantinedLine): string {
  return `quarantine-${partition}-${offset}-${line}`;
}

function parsed(raw: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(raw);
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  } catch {}
  return undefined;
}

function hint(raw: string): string {
  return raw.startsWith('base64:') ? ', but bytes that are not text' : '';
}
