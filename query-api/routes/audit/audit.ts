/** GET /v1/audit: the audit log, the newest first, with a key of scope admin. */
import { Type } from 'typebox';
import type { Http } from '../../../infra/http.ts';
import { spanOf } from '../../http/asked-range.ts';
import { cursorParameter, cursorsOf, nextCursorField, pageOf } from '../../http/cursor.ts';
import { countField, isoOf, problems, timeField } from '../../http/parameters.ts';
import type { StoredEntry } from '../../store/audit-records.ts';
import type { Store } from '../../store/open-store.ts';

export interface AuditRoutesDeps extends Pick<Store, 'auditRecords'> {
  /** Epoch ms. */
  readonly now: () => number;
}

/** A cursor contains time and id of the last entry of its page. */
const cursors = cursorsOf(
  'audit',
  Type.Tuple([Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }), Type.String({ maxLength: 64 })]),
);

export function routeAudit(http: Http, { auditRecords, now }: AuditRoutesDeps): void {
  http.get('/v1/audit', { schema: listSchema, config: { scope: 'admin' } }, async (request, reply) => {
    const { limit = 50, cursor, from, to, key, action, kind, subject } = request.query;
    const question = { from, to, key, action, kind, subject };
    const after = cursors.read(cursor, question, undefined);
    const span = spanOf({ from, to }, { now: now() + clocksDifferMs });
    const rows = await auditRecords.list({ ...span, askedBy: key, action, kind, subject }, after, limit + 1);
    const page = pageOf(rows, limit, last => cursors.write([last.at, last.id], question, undefined));
    reply.header('cache-control', 'no-store');
    return { entries: page.rows.map(shown), next_cursor: page.next_cursor };
  });
}

/** Entries bear the time of the process that has written them. */
const clocksDifferMs = 60_000;

function shown({
  id,
  at,
  until,
  kind,
  asked_by,
  name,
  subject,
  address,
  action,
  parameters,
  requests,
  status,
}: StoredEntry) {
  return {
    id,
    at: isoOf(at),
    until: isoOf(until),
    kind,
    by: asked_by,
    name: name || null,
    subject: subject || null,
    from: address || null,
    action,
    parameters,
    requests,
    status: status || null,
  };
}

const textOrNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description });

const EntrySchema = Type.Object(
  {
    id: Type.String(),
    at: timeField('When it was asked for, by the clock of the process that took the request.'),
    until: timeField('When the last of the requests was asked for.'),
    kind: Type.String({
      description:
        '`act`: something was to be changed. `read`: something about persons, keys or this log was to be read, or an export was to begin. `refused`: a valid key was not enough. `sign-in`: somebody began to use the pages',
    }),
    by: Type.String({
      description:
        'The id of the key, `without a key` (on loopback, or with `API_KEYS=off`), or `operator at the broker`.',
    }),
    name: textOrNull('The label of the key.'),
    subject: textOrNull(
      'The person who was signed in, as the identity provider names them: its `sub`, or a hash if that is a mail address. Null: not known.',
    ),
    from: textOrNull(
      'The address of the client (of IPv6: a /64). Null: several, not done over HTTP, or refused because the key is of another region.',
    ),
    action: Type.String({ description: 'The method and the route, or the command.' }),
    parameters: Type.Record(Type.String(), Type.String(), {
      description: 'What was given. `***` stands for what is a secret, or may be about a person who clicks.',
    }),
    requests: countField(
      'For how many requests the entry stands: reads and refusals that repeat within a minute share one.',
    ),
    status: Type.Union([Type.Integer(), Type.Null()], {
      description:
        'The status of the answer, the highest one of several. Null: it is not known how it has ended, or not yet. It may have been done.',
    }),
  },
  { additionalProperties: false },
);

const listSchema = {
  tags: ['audit'],
  operationId: 'listAudit',
  summary: 'Who has done what, when, and from where: the newest first',
  description:
    'An entry is in the log before what it is about is done, and here within moments. With `Accept: text/csv` or `application/x-ndjson` the answer is the rows alone, and the header `x-next-cursor` leads to the next page.',
  querystring: Type.Object(
    {
      from: Type.Optional(
        Type.String({ description: 'Only entries since then: RFC 3339 with a zone, or epoch milliseconds.' }),
      ),
      to: Type.Optional(Type.String({ description: 'Only entries before then, in the form of `from`.' })),
      key: Type.Optional(
        Type.String({
          maxLength: 64,
          description:
            'Only what was asked for with this key (its id), or `without a key`, or `operator at the broker`.',
        }),
      ),
      action: Type.Optional(
        Type.String({
          maxLength: 200,
          description: 'Only this action, as it stands in an entry.',
          examples: ['POST /v1/replays'],
        }),
      ),
      subject: Type.Optional(
        Type.String({ maxLength: 128, description: 'Only what this person has asked for, as `subject` of an entry.' }),
      ),
      kind: Type.Optional(
        Type.Enum(['act', 'read', 'refused', 'sign-in'], { type: 'string', description: 'Only this kind.' }),
      ),
      limit: Type.Optional(
        Type.Integer({ default: 50, minimum: 1, maximum: 1_000, description: 'The most entries on one page.' }),
      ),
      cursor: cursorParameter,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      { entries: Type.Array(EntrySchema), next_cursor: nextCursorField },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
