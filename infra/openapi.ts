/**
 * Adds to every OpenAPI document what all services have in common: the problems that any request may get, their media
 * type, and `Retry-After` where it is sent. A route documents only what is its own.
 */
export interface OpenApiParts {
  paths?: Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
  components?: { schemas?: Record<string, unknown> };
  [key: string]: unknown;
}

interface Operation {
  requestBody?: unknown;
  security?: unknown;
  responses?: Record<string, Response>;
  [key: string]: unknown;
}

interface Response {
  description: string;
  headers?: Record<string, unknown>;
  content?: Record<string, unknown>;
}

/** Returns the document as it is served. `problemSchema` describes every error. */
export function completeDocument<T extends OpenApiParts>(document: T, problemSchema: unknown): T {
  const paths = Object.entries(document.paths ?? {}).map(([path, operations = {}]) => {
    const methods = Object.entries(operations).map(([method, operation]) => [
      method,
      withProblems(operation as Operation),
    ]);
    return [path, Object.fromEntries(methods)];
  });
  const schemas = { ...document.components?.schemas, Problem: problemSchema };
  return { ...document, paths: Object.fromEntries(paths), components: { ...document.components, schemas } };
}

function withProblems(operation: Operation): Operation {
  const own = Object.entries(operation.responses ?? {});
  const successes = own.filter(([status]) => Number(status) < 400);
  const failures = own.map(([status]) => Number(status)).filter(status => status >= 400);
  const always = operation.requestBody === undefined ? anyRequest : [...anyRequest, ...anyBody];
  const guarded = operation.security === undefined ? [] : anyGuarded;
  const statuses = [...new Set([...failures, ...always, ...guarded])].sort((a, b) => a - b);
  const responses = Object.fromEntries([...successes, ...statuses.map(status => [`${status}`, problemAnswer(status)])]);
  return { ...operation, responses };
}

/** The statuses with which any request may be answered, and any request with a body. */
const anyRequest = [400, 421, 429, 500, 503];
const anyBody = [408, 413, 415];
/** Those with which a request that needs a key may be answered. */
const anyGuarded = [401, 403];

const meanings: Readonly<Record<number, string>> = {
  400: 'The request breaks a rule: `detail` names field, value and rule',
  401: 'There is no API key, or it is not valid',
  403: 'The API key lacks a scope that the request needs, or is for the ads of a tenant, and the answer would be about those of all',
  404: 'It does not exist, or it is no longer kept',
  408: 'The body did not arrive in time, or its memory was needed for others: send it again',
  409: 'Not possible in the present state',
  413: 'The body is too large, or contains too much',
  415: 'The media type or the content encoding is not understood',
  421: 'The requested host is not known here: see ALLOWED_HOSTS',
  429: 'This client asks for more than it is allowed: wait',
  500: 'The server failed to answer',
  503: 'Not possible at the moment: try again',
};

const retryAfter = {
  'Retry-After': {
    description: 'seconds to wait before the next try',
    schema: { type: 'integer', minimum: 0 },
  },
};

function problemAnswer(status: number): Response {
  return {
    description: meanings[status] ?? 'The request could not be answered',
    ...(status === 429 || status === 503 ? { headers: retryAfter } : {}),
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
}
