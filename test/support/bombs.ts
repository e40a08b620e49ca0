/**
 * Bodies that are made to keep a server busy: of each kind as it is, in as few bytes as gzip can do it (which the limit
 * of the ratio stops), and in so many that this limit lets it pass, so that it is inflated and judged whole. No click in
 * any of them may be accepted.
 */
import { constants, gzipSync } from 'node:zlib';
import { postHead, rawConnection } from './raw-http.ts';

export interface Bomb {
  readonly kind: string;
  readonly form: 'plain' | 'small gzip' | 'gzip within the ratio';
  readonly type: string;
  readonly body: Buffer;
}

const bytes = 4 << 20;
const repeated = (text: string, of = bytes - 100) => text.repeat(Math.floor(of / Buffer.byteLength(text)));
const listed = (text: string, of?: number) => `[${repeated(`${text},`, of)}${text}]`;
const [ndjson, json] = ['application/x-ndjson', 'application/json'];

const kinds: readonly (readonly [kind: string, type: string, text: string])[] = [
  ['blank lines', ndjson, repeated('\n')],
  ['lines of blanks', ndjson, repeated(' \t\r\n')],
  ['lines that only Unicode calls blank', ndjson, repeated('\u00a0\n')],
  ['lines of one digit', ndjson, repeated('1\n')],
  ['lines of empty objects', ndjson, '{}\n'.repeat(10_000).padEnd(bytes - 100)],
  ['one line of objects', ndjson, `{"a":${listed('{}', bytes - 200)}}`],
  ['lines of many objects', ndjson, repeated(`${listed('{}', 60_000)}\n`)],
  ['lines of brackets in brackets', ndjson, repeated(`${'['.repeat(30_000)}${']'.repeat(30_000)}\n`)],
  ['clicks with a bad field', ndjson, '{"ad_id":"é"}\n'.repeat(10_000)],
  ['brackets in brackets', json, `${'['.repeat(2_000_000)}${']'.repeat(2_000_000)}`],
  ['open brackets', json, repeated('[')],
  ['an array of objects', json, listed('{}', bytes - 200)],
  ['one click of objects', json, `{"ad_id":"x","a":${listed('{}', bytes - 200)}}`],
  ['an array of one click of objects', json, `[{"ad_id":"x","a":${listed('{}', bytes - 200)}}]`],
  ['a text that does not end', json, `["${repeated('\\"')}`],
  ['space', json, repeated(' ')],
  ['long digits', json, `[{"ad_id":"x","clicked_at":${'1'.repeat(bytes - 200)}}]`],
];

export const bombs: readonly Bomb[] = kinds.flatMap(([kind, type, text]) => {
  const plain = Buffer.from(text);
  return [
    { kind, type, form: 'plain', body: plain },
    { kind, type, form: 'small gzip', body: gzipSync(plain, { level: 9 }) },
    {
      ...{ kind, type, form: 'gzip within the ratio' },
      body: gzipSync(plain, { strategy: constants.Z_HUFFMAN_ONLY }),
    },
  ] as const;
});

/** The status of the answer. */
export async function postBomb(url: string, { type, form, body }: Bomb, from: string): Promise<number | undefined> {
  using connection = rawConnection(url, from);
  connection.send(postHead(body.length, type, form === 'plain' ? '' : 'content-encoding: gzip\r\n'));
  connection.send(body);
  return await connection.status();
}
