/**
 * A quarantined line → the click to post again. It keeps its own `event_id`; a line without one gets one made of its
 * place in the log. Either way retrying twice counts nothing twice. Pure; whether it is a click is for ingest to judge.
 */
import type { QuarantinedLine } from './quarantined-lines.ts';

export type Retried = { readonly ok: true; readonly json: string } | { readonly ok: false; readonly problem: string };

/** Field of a click → field of the line that holds it. */
export type FieldMap = Readonly<Record<string, string>>;

/** `raw`: the line, or what a command has made of it. */
export function retriedClick(line: QuarantinedLine, raw: string, map: FieldMap): Retried {
  const fields = parsed(raw);
  if (fields === undefined) return { ok: false, problem: `no JSON object${hint(raw)}` };
  const click = { ...fields };
  for (const [field, source] of Object.entries(map)) {
    if (Object.hasOwn(fields, source)) click[field] = fields[source];
  }
  if ((click['clicked_at'] ?? null) === null) return { ok: false, problem: 'clicked_at: must be given' };
  const eventId = click['event_id'] ?? (line.event_id || placeId(line));
  return { ok: true, json: JSON.stringify({ ...click, event_id: eventId }) };
}

/** `quarantine-<partition>-<offset>-<line>`: the same whenever it is asked for. */
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
  return raw.startsWith('base64:') ? ', but bytes that are no text' : '';
}
