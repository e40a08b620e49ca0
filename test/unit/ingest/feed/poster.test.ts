import { describe, expect, it } from 'vitest';
import { ConfigError, Retryable } from '../../../../infra/errors.ts';
import { createPoster, type PosterOptions } from '../../../../ingest/feed/poster.ts';

type Answer = Response | Error;
const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers });
const accepted = (count: number) => json(202, { accepted: count, rejected: [] });

/** Answers in turn; the last one again and again. */
function setUp(answers: (Answer | ((lines: string[]) => Answer))[], options: Partial<PosterOptions> = {}) {
  const bodies: string[] = [];
  const pauses: number[] = [];
  const post = createPoster({
    url: 'http://ingest',
    giveUpAfterMs: 1_000,
    stop: new AbortController().signal,
    onRetry: (_reason, pauseMs) => pauses.push(pauseMs),
    firstPauseMs: 1,
    fetch: (_url, init) => {
      const body = String(init?.body);
      const answer = answers[Math.min(bodies.length, answers.length - 1)]!;
      bodies.push(body);
      const given = typeof answer === 'function' ? answer(body.split('\n')) : answer;
      return given instanceof Error ? Promise.reject(given) : Promise.resolve(given.clone());
    },
    ...options,
  });
  return { post, bodies, pauses };
}

describe('createPoster', () => {
  it('tries the same bytes again after a lost connection, 503 and 429', async () => {
    const { post, bodies } = setUp([new TypeError('fetch failed'), json(503, {}), json(429, {}), accepted(2)]);
    expect(await post(['{"event_id":"a"}', '{"event_id":"b"}'])).toEqual({ accepted: 2, rejected: [] });
    expect(bodies).toEqual(new Array(4).fill('{"event_id":"a"}\n{"event_id":"b"}'));
  });

  it('brings the API key that it is given, and gives up where it is not valid', async () => {
    const headers: (string | null)[] = [];
    const { post } = setUp([], {
      apiKey: 'adclicks_x_y',
      fetch: async (_url, init) => {
        headers.push(new Headers(init?.headers).get('authorization'));
        return json(401, { detail: 'API key x has expired' });
      },
    });
    await expect(post(['{}'])).rejects.toThrow(ConfigError);
    expect(headers).toEqual(['Bearer adclicks_x_y']);
  });

  it('waits as long as Retry-After says', async () => {
    const { post, pauses } = setUp([json(503, {}, { 'retry-after': '1' }), accepted(1)]);
    await post(['{}']);
    expect(pauses).toEqual([1_000]);
  });

  it('takes a 400 with verdicts for an answer', async () => {
    const rejected = [{ index: 0, code: 'invalid_field', message: 'no' }];
    const { post } = setUp([json(400, { detail: 'no click is valid', rejected })]);
    expect(await post(['{}'])).toEqual({ accepted: 0, rejected });
  });

  it('halves a batch that is too large for the server, and keeps the indexes right', async () => {
    const { post } = setUp([
      lines =>
        lines.length > 2
          ? json(413, {})
          : json(202, {
              accepted: lines.length - 1,
              rejected: [{ index: lines.length - 1, code: 'invalid_field', message: lines.at(-1) }],
            }),
    ]);
    const verdicts = await post(['0', '1', '2', '3', '4']);
    expect(verdicts?.rejected.map(({ index, message }) => `${index}` === message)).toEqual([true, true, true]);
    expect(verdicts?.accepted).toBe(2);
  });

  it('learns of every rejection where ingest tells only the first and counts the others', async () => {
    // As ingest judges: at most two are told.
    const judged = (lines: string[]) => {
      const rejected = lines.flatMap((line, index) =>
        line.startsWith('bad') ? [{ index, code: 'invalid_field', message: line }] : [],
      );
      const answer = { rejected: rejected.slice(0, 2), rejected_total: rejected.length };
      const accepted = lines.length - rejected.length;
      return accepted === 0 ? json(400, answer) : json(202, { accepted, ...answer });
    };
    const mixed = setUp([judged]);
    const lines = ['0', 'bad 1', 'bad 2', '3', 'bad 4', '5', 'bad 6', 'bad 7', 'bad 8', '9'];
    const verdicts = await mixed.post(lines);
    const bad = lines.filter(line => line.startsWith('bad'));
    expect(verdicts?.rejected.map(({ index, message }) => [lines[index], message])).toEqual(
      bad.map(line => [line, line]),
    );
    expect(verdicts?.accepted).toBe(4);
    // What was told is not posted again.
    expect(mixed.bodies[1]).toBe('3\nbad 4');

    const all = await setUp([judged]).post(['bad 0', 'bad 1', 'bad 2', 'bad 3', 'bad 4']);
    expect([all?.accepted, all?.rejected.map(({ index }) => index)]).toEqual([0, [0, 1, 2, 3, 4]]);
  });

  it('gives up when nothing answers for long', async () => {
    const { post } = setUp([new TypeError('fetch failed')], { giveUpAfterMs: 5 });
    await expect(post(['{}'])).rejects.toBeInstanceOf(Retryable);
  });

  it('does not try again what cannot work', async () => {
    const { post, bodies } = setUp([json(404, { detail: 'there is no POST /v1/clicks' })]);
    await expect(post(['{}'])).rejects.toBeInstanceOf(ConfigError);
    expect(bodies).toHaveLength(1);
  });

  it('leaves the outcome open when it is stopped', async () => {
    const stop = new AbortController();
    const { post } = setUp([json(503, {}, { 'retry-after': '60' })], { stop: stop.signal });
    const posted = post(['{}']);
    setTimeout(() => stop.abort(), 20);
    expect(await posted).toBeUndefined();
  });
});
