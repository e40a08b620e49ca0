/** HTTP requests that say everything about themselves: whether the connection was used before, and how it failed. */
import { type Agent, type IncomingHttpHeaders, request } from 'node:http';

export interface Outcome {
  readonly status?: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The system's code, where there was no answer. */
  readonly failed?: string;
  /** On a connection that had brought an answer before. */
  readonly reused: boolean;
}

/** Never rejects. */
export function ask(url: string, { agent, body }: { agent: Agent; body?: string | Buffer }): Promise<Outcome> {
  return new Promise(resolve => {
    const method = body === undefined ? 'GET' : 'POST';
    const sent = request(url, {
      agent,
      method,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
    });
    let answer: Pick<Outcome, 'status' | 'headers'> = { headers: {} };
    let text = '';
    const end = (failed?: string) =>
      resolve({ ...answer, body: text, reused: sent.reusedSocket, ...(failed === undefined ? {} : { failed }) });
    sent.once('error', error => end('code' in error ? String(error.code) : error.message));
    sent.once('response', response => {
      answer = { headers: response.headers, ...(response.statusCode ? { status: response.statusCode } : {}) };
      response.setEncoding('utf8').on('data', piece => (text += piece));
      response.once('end', () => end()).once('error', error => end(`cut off: ${error.message}`));
    });
    sent.end(body);
  });
}

/** A problem that tells its client when to come back, and that this connection ends. */
export function isRefusal({ status, headers, body }: Outcome): boolean {
  return (
    status === 503 &&
    String(headers['content-type']).startsWith('application/problem+json') &&
    Number(headers['retry-after']) >= 1 &&
    headers.connection === 'close' &&
    JSON.parse(body).code === 'stopping'
  );
}
