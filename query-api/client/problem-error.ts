/** The errors with which a call of the client fails. */
import type { Problem } from './operations.ts';

/** The service has answered with a problem. `field`, `value` and `rule` are set if the request broke a rule. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly problem: Problem;
  /** Undefined if the answer does not say when to try again. */
  readonly retryAfterMs: number | undefined;

  constructor(problem: Problem, retryAfterMs?: number) {
    super(problem.detail);
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }

  get status(): number {
    return this.problem.status;
  }
  get code(): string {
    return this.problem.code;
  }
  get field(): string | undefined {
    return this.problem.field;
  }
  get value(): unknown {
    return this.problem.value;
  }
  get rule(): string | undefined {
    return this.problem.rule;
  }
}

/** The service cannot be reached, or did not answer in time, or its answer ended too early. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** No request can be made of what the caller has given. No service was asked. */
export class InvalidInput extends TypeError {
  override readonly name = 'InvalidInput';
}

/** Makes the error of an unsuccessful response. A proxy between client and service may answer with something that is not a problem. */
export async function problemErrorOf(response: Response): Promise<ProblemError> {
  const text = await response.text();
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined;
  return new ProblemError(parsed(text) ?? otherwise(response, text), retryAfterMs);
}

function parsed(text: string): Problem | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return isProblem(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

function isProblem(json: unknown): json is Problem {
  if (typeof json !== 'object' || json === null) return false;
  const { status, code, detail } = json as Partial<Problem>;
  return typeof status === 'number' && typeof code === 'string' && typeof detail === 'string';
}

function otherwise({ status, statusText }: Response, text: string): Problem {
  const detail = text.trim().slice(0, 200) || statusText || 'no reason is given';
  return { type: 'about:blank', title: statusText, status, code: 'http_error', detail };
}
