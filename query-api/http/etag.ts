/**
 * Adds an ETag to each answer, and answers 304 to a client that already has it. Final numbers stay the same while the
 * watermark advances. So the tag of an answer that may be cached (`setCaching`) is computed without the watermark, which
 * is why the tags are weak.
 */
import { createHash } from 'node:crypto';
import type { Http } from '../../infra/http.ts';
import { sightOf, tenantOf } from '../../infra/keys/tenant.ts';
import { givingWay, type Slices } from '../../infra/slices.ts';

export function tagAnswers(http: Http): void {
  http.addHook('onSend', async (request, reply, payload) => {
    if (reply.statusCode !== 200 || !/^(GET|HEAD)$/.test(request.method) || typeof payload !== 'string') return payload;
    const isKept = String(reply.getHeader('cache-control')).includes('max-age');
    const whose = sightOf(request.apiKey && tenantOf(request.apiKey)) ?? '';
    const tag = await givingWay(etagOf(`${whose}\n${isKept ? payload.replace(watermark, '') : payload}`));
    reply.header('etag', tag);
    if (!matches(request.headers['if-none-match'], tag)) return payload;
    reply.code(304).removeHeader('content-type');
    reply.removeHeader('content-length');
    return '';
  });
}

/** Quotes inside a text have a backslash before them, so this matches only a field. */
const watermark = /"watermark":"[^"]*"/;

/** An answer may have several megabytes. */
function* etagOf(body: string): Slices<string> {
  const [bytes, sha256] = [Buffer.from(body), createHash('sha256')];
  for (let at = 0; at < bytes.length; at += bytesInSlice) {
    if (at > 0) yield;
    sha256.update(bytes.subarray(at, at + bytesInSlice));
  }
  return `W/"${sha256.digest('base64url').slice(0, 22)}"`;
}

const bytesInSlice = 1 << 20;

/** The weak comparison of RFC 9110. */
function matches(asked: string | undefined, tag: string): boolean {
  if (asked === undefined) return false;
  return asked.trim() === '*' || asked.split(',').some(one => one.trim().replace(/^W\//, '') === tag.slice(2));
}
