/** GET /v1/users/{user_id}/export: streams all that is kept of one person, for requests of access. */
import type { Readable } from 'node:stream';
import { Type } from 'typebox';
import { type Http, Problem } from '../../../infra/http.ts';
import type { KeptForms } from '../../http/kept-forms.ts';
import { isoOf, problems } from '../../http/parameters.ts';
import type { ErasureLog, LogKeptUntil } from '../../log/erasure-log.ts';
import type { PersonRows } from '../../store/person-rows.ts';
import { textsOf, UserIdParams } from '../users/person.ts';
import type { ExportDeps } from './export-deps.ts';

export interface UserExportDeps extends Pick<ExportDeps, 'clients' | 'exportsOf' | 'exportSlots' | 'now'> {
  readonly personRows: PersonRows;
  readonly keptForms: KeptForms;
  readonly erasures: Pick<ErasureLog, 'logKeptUntil'>;
}

const config = {
  scope: 'read:personal',
  tenants: { refused: 'a person may have clicked the ads of others' },
} as const;

export function routeUserExport(http: Http, deps: UserExportDeps): void {
  const { clients, exportsOf, exportSlots, personRows, keptForms, erasures, now } = deps;
  http.get('/v1/users/:user_id/export', { schema, config, exposeHeadRoute: false }, async (request, reply) => {
    const at = now();
    const texts = textsOf(request.params.user_id, keptForms, at);
    const head = headOf(at, await erasures.logKeptUntil(at));
    const stream = await exportsOf(clients.of(request.raw), request.apiKey, async () => {
      const opened = await exportSlots.open(
        () => linesOf(head, personRows, texts),
        why => request.log.warn({ why }, 'export cut off'),
      );
      if (opened) return opened;
      throw new Problem(503, 'exports_busy', 'too many exports are running (EXPORT_MAX_RUNNING): try again', {}, 10);
    });
    reply.header('cache-control', 'no-store').header('content-disposition', 'attachment; filename="user.ndjson"');
    return reply.type('application/x-ndjson; charset=utf-8').send(stream);
  });
}

async function* linesOf(head: object, rows: PersonRows, texts: readonly string[]): AsyncGenerator<Uint8Array> {
  yield lineOf(head);
  yield* rows.clicks(texts);
  yield* rows.lines(texts);
  yield lineOf({ kind: 'end' });
}

function lineOf(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

function headOf(at: number, kept: LogKeptUntil) {
  return {
    kind: 'about',
    exported_at: isoOf(at),
    fields,
    log: [...kept].map(([topic, until]) => ({ topic, kept_until: until === undefined ? null : isoOf(until) })),
  };
}

/** What each field of a row means, for the person who gets the rows. */
const fields: Readonly<Record<string, string>> = {
  click_id: 'the number that this click was given when it was received',
  event_id: 'the number that the page or program gave to this click',
  ad_id: 'the ad that was clicked',
  clicked_at: 'when it was clicked',
  received_at: 'when it was received',
  country: 'the country of the click, by ISO 3166-1; ZZ: not known',
  user_id: 'you, as the page or program has named you, or a hash of that',
  ip: 'the address of your device, a part of it or a hash of it; empty: not kept',
  user_agent: 'the name of the program that you have clicked with',
  referrer: 'the site on which you have clicked',
  facts: 'what was found out about the click when it was received, such as that it came from a known robot',
  kept_until: 'when it is deleted; deleting takes up to a day',
  partition: 'where a line that was not counted stands in the log, with offset and line',
  reason: 'why a line was not counted, with detail',
  appended_at: 'when a line that was not counted was stored',
  raw: 'the line that was not counted, as it came',
};

const text = Type.Optional(Type.String());
const whole = Type.Optional(Type.Integer());

const UserLine = Type.Object(
  {
    kind: Type.Enum(['about', 'click', 'quarantined_line', 'end']),
    ...{
      exported_at: text,
      click_id: text,
      event_id: text,
      ad_id: text,
      clicked_at: Type.Optional(Type.Union([Type.String(), Type.Integer()])),
    },
    ...{ received_at: text, country: text, user_id: text, ip: text, user_agent: text, referrer: text, facts: text },
    ...{
      kept_until: text,
      partition: whole,
      offset: whole,
      line: whole,
      reason: text,
      detail: text,
      appended_at: text,
    },
    raw: text,
    fields: Type.Optional(Type.Record(Type.String(), Type.String())),
    log: Type.Optional(
      Type.Array(
        Type.Object(
          { topic: Type.String(), kept_until: Type.Union([Type.String(), Type.Null()]) },
          { additionalProperties: false },
        ),
      ),
    ),
  },
  { additionalProperties: false },
);

const Lines = {
  type: 'string',
  contentMediaType: 'application/json',
  contentSchema: UserLine,
  description:
    'Each line is one object. The first has kind `about` and explains the fields. The last has kind `end`; without it, the export was cut off.',
};

const schema = {
  tags: ['users'],
  operationId: 'exportUser',
  summary: 'All that is kept of one person: clicks and quarantined lines, with the meaning of each field',
  description:
    'For requests of access. `user_id` is the plain one; clicks with a hash of it by a key of `PRIVACY_KEY_FILE` are found too. `kept_until` of each row says when it is deleted. It is limited like other exports.',
  params: UserIdParams,
  response: {
    200: { description: 'The rows.', content: { 'application/x-ndjson': { schema: Type.Unsafe<Readable>(Lines) } } },
    ...problems,
  },
} as const;
