/** Defines errors as clients see them: RFC 9457 problem details, which name field, value and rule. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { brokenRule, ruleOf, shown } from './broken-rule.ts';
import { countRefusal } from './http-refusals.ts';
import { type Limit, rateLimitFields } from './quotas/rate-limit-fields.ts';

/** An error for the client. Handlers throw it, and it is sent as `application/problem+json`. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly code: string;
  readonly extra: Readonly<Record<string, unknown>>;
  readonly retryAfterS: number | undefined;
  /** The quota that was used up, if that is the reason. */
  readonly limit: Limit | undefined;

  constructor(
    status: number,
    code: string,
    detail: string,
    extra: Record<string, unknown> = {},
    retryAfterS?: number,
    limit?: Limit,
  ) {
    super(detail);
    this.limit = limit;
    this.status = status;
    this.code = code;
    this.extra = extra;
    this.retryAfterS = retryAfterS;
  }
}

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'always `about:blank`; `code` says which kind of problem it is' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'a stable code for programs' }),
    detail: Type.String({ description: 'a sentence for people, which names field, value and rule' }),
    field: Type.Optional(Type.String({ description: 'the parameter or field that breaks a rule' })),
    value: Type.Optional(Type.Unknown({ description: 'the value that was given; absent if there was none' })),
    rule: Type.Optional(Type.String({ description: 'what the value must be' })),
    trace_id: Type.Optional(
      Type.String({ description: 'only with status 500: search the log for it to find the reason' }),
    ),
  },
  {
    additionalProperties: true,
    description: 'RFC 9457 problem details',
    examples: [
      {
        type: 'about:blank',
        title: 'Bad Request',
        status: 400,
        code: 'invalid_parameter',
        detail:
          'from is "2025-11-22T08:26:30Z", but must be a whole minute in UTC, as 2025-11-22T08:26:00Z and 2025-11-22T08:27:00Z are',
        field: 'from',
        value: '2025-11-22T08:26:30Z',
        rule: 'must be a whole minute in UTC, as 2025-11-22T08:26:00Z and 2025-11-22T08:27:00Z are',
      },
    ],
  },
);

/** Converts whatever a handler or fastify has thrown into the problem that the client gets. */
export function asProblem(error: FastifyError | Problem, request: FastifyRequest): Problem {
  if (error instanceof Problem) return error;
  const status = error.statusCode ?? 500;
  if (error.validation) return invalidParameter(error, request);
  if (status >= 500) {
    const detail = 'the server failed to answer; the log has the reason, under the trace_id';
    return new Problem(500, 'internal', detail, { trace_id: request.id });
  }
  const code = (error.code ?? 'bad_request').toLowerCase().replace(/^fst_err_(ctp_)?/, '');
  return new Problem(status, code, sentences[code]?.(request) ?? error.message);
}

/** Replace fastify's own messages. */
const sentences: Readonly<Record<string, (request: FastifyRequest) => string>> = {
  invalid_media_type: ({ headers }) => brokenRule('content-type', headers['content-type'], 'must be application/json'),
  empty_json_body: () => 'the body is empty, but must be JSON: send one, or none and no content-type',
  invalid_json_body: () => 'the body is not JSON in UTF-8, but must be',
  body_too_large: ({ routeOptions }) => `the body is too large, but must have at most ${routeOptions.bodyLimit} bytes`,
  invalid_content_length: () => 'the body is not as long as content-length says, but must be: send it again, whole',
  bad_url: ({ url }) => brokenRule('the address', url, 'must be percent-encoded UTF-8', 'a % itself is written %25'),
};

/** Builds the problem for a value that breaks a rule that no schema knows. `advice` says what to do. @throws never */
export function invalid(field: string, value: unknown, rule: string, advice?: string): Problem {
  const text = shown(value);
  return new Problem(400, 'invalid_parameter', brokenRule(field, value, rule, advice), {
    field,
    ...(value === undefined ? {} : { value: text.endsWith('…') ? text : value }),
    rule,
  });
}

/** Builds the problem for an error that a schema has found: `count is "x", but must be a whole number`. */
function invalidParameter(error: FastifyError, request: FastifyRequest): Problem {
  const [first] = error.validation ?? [];
  if (!first) return new Problem(400, 'invalid_parameter', error.message);
  const { keyword, params, instancePath } = first;
  const absent = keyword === 'required' ? params['missingProperty'] : undefined;
  const unknown = keyword === 'additionalProperties' ? params['additionalProperty'] : undefined;
  const path = [...instancePath.split('/').filter(Boolean), absent ?? unknown].filter(key => typeof key === 'string');
  // A parameter that is given several times has no place in a list for who gives it.
  const named = error.validationContext === 'body' ? path : path.filter(key => !/^\d+$/.test(key));
  const field = named.join('.') || (error.validationContext === 'body' ? 'the body' : 'the request');
  const value = valueAt(request, error.validationContext, path);
  if (unknown !== undefined) return invalid(field, value, unknownRule(error.validationContext), unknownAdvice);
  return invalid(field, absent === undefined ? value : undefined, ruleOf(first));
}

function unknownRule(context: string | undefined): string {
  return `there is no such ${context === 'body' ? 'field' : 'parameter'} here`;
}

const unknownAdvice = 'look how it is written, or leave it out';

function valueAt(
  { query, params, body, headers }: FastifyRequest,
  context: string | undefined,
  path: readonly string[],
): unknown {
  let at: unknown = { params, body, headers }[context ?? ''] ?? query;
  for (const key of path) at = typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined;
  return at;
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  countRefusal(problem.code);
  if (problem.retryAfterS !== undefined) reply.header('retry-after', String(problem.retryAfterS));
  if (problem.limit !== undefined) reply.headers(rateLimitFields(problem.limit));
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
  // After a request that took too long, its rest is not waited for. A connection that is too many must not stay.
  if (problem.status === 408 || problem.code === 'key_connections') reply.header('connection', 'close');
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .serializer((body: unknown) => JSON.stringify(body))
    .send(bodyOf(problem));
}

/**
 * Returns a whole HTTP answer, for a connection on which there is no request. It is the last one on that connection.
 */
export function problemText(problem: Problem): string {
  countRefusal(problem.code);
  const content = bodyOf(problem);
  const body = JSON.stringify(content);
  const head = [
    `HTTP/1.1 ${problem.status} ${content.title}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...(problem.retryAfterS === undefined ? [] : [`retry-after: ${problem.retryAfterS}`]),
    ...Object.entries(problem.limit ? rateLimitFields(problem.limit) : {}).map(([name, value]) => `${name}: ${value}`),
    'connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

function bodyOf(problem: Problem) {
  return {
    type: 'about:blank',
    title: titles[problem.status] ?? 'Error',
    status: problem.status,
    code: problem.code,
    detail: problem.message,
    ...problem.extra,
  };
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  499: 'Client Closed Request',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};
