/** What POST /v1/clicks takes and answers, for the OpenAPI document. `click-body.ts` checks the body. */
import { Type } from 'typebox';
import { ProblemSchema } from '../infra/http.ts';
import { maxRejectionsTold } from './click-batch.ts';
import { optionalFields } from './click-body.ts';
import { maxFieldsTold, maxNameLength } from './click-notes.ts';
import { ClickBody } from './click-schema.ts';

const ndjson = Type.String({
  description:
    'one click per line, as in application/json; blank lines are skipped. `application/ndjson`, `application/jsonl`, `application/jsonlines` and `text/plain` mean the same',
});

export const clicksRouteSchema = {
  tags: ['clicks'],
  operationId: 'postClicks',
  summary: 'Post one click or many',
  description:
    'The body is UTF-8, with or without a byte order mark, and may have Content-Encoding gzip (or x-gzip). Each click is checked separately. Accepted clicks are in the log before the answer is sent. A click is refused if its ad_id, event_id or clicked_at breaks a rule. If `country`, `user_id` or `ip` breaks a rule, that field is left out, and the click counts.',
  querystring: Type.Object({
    strict: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'refuse clicks that have unknown fields, or fields that would be left out (see `ignored_fields` and `warnings`)',
      }),
    ),
  }),
  body: {
    content: {
      'application/json': { schema: Type.Union([ClickBody, Type.Array(ClickBody, { minItems: 1 })]) },
      'application/x-ndjson': { schema: ndjson },
      'text/plain': { schema: ndjson },
    },
  },
  response: {
    202: Type.Object(
      {
        accepted: Type.Integer({ description: 'number of clicks that are in the log now' }),
        rejected: Type.Array(
          Type.Object({
            index: Type.Integer({
              description:
                'position of the click in the array, or of its line among the lines that are not blank; the first is 0',
            }),
            code: Type.String({
              description:
                'invalid_json, too_large, too_deep, not_an_object, missing_field, invalid_field, unknown_field, too_old, too_far_ahead or forbidden_ad',
            }),
            message: Type.String({ description: 'names field, value and rule' }),
          }),
          { description: `the first ${maxRejectionsTold} rejected clicks, in the order of the clicks` },
        ),
        rejected_total: Type.Integer({
          description: 'number of all rejected clicks, including those that are not listed',
        }),
        ignored_fields: Type.Array(Type.String(), {
          description: `names of unknown fields in all clicks together, which were ignored: the first ${maxFieldsTold}, each cut after ${maxNameLength} characters. Unknown parameters are listed, too, with a \`?\` in front`,
        }),
        warnings: Type.Array(
          Type.Object({
            field: Type.String({ description: `${optionalFields.join(', ')}` }),
            clicks: Type.Integer({ description: 'number of clicks that count without it' }),
            index: Type.Integer({ description: 'position of the first of these clicks, as in `rejected`' }),
            message: Type.String({ description: 'what is wrong in that click' }),
          }),
          { description: 'fields that broke a rule and were left out of accepted clicks; each field is listed once' },
        ),
      },
      { description: 'At least one click is accepted' },
    ),
    400: ProblemSchema,
    413: ProblemSchema,
    415: ProblemSchema,
    429: ProblemSchema,
    503: ProblemSchema,
  },
};
