/**
 * Reads the W3C Trace Context (https://www.w3.org/TR/trace-context/) of a request. We create no spans of our own, so
 * the context is passed on unchanged, as the standard allows for those who do not take part in a trace. A context that
 * does not follow the standard exactly is treated as missing.
 */
import { randomFillSync } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export interface TraceContext {
  /** 32 lower-case hexadecimal digits, not all 0. */
  readonly traceId: string;
  readonly traceparent: string;
  /** Only ASCII, at most 512 characters. */
  readonly tracestate?: string;
}

/** Returns undefined when there is no valid context. An invalid tracestate is left out. */
export function traceContextOf(headers: IncomingHttpHeaders): TraceContext | undefined {
  const given = headers['traceparent'];
  // The case of nearly every request.
  if (typeof given !== 'string') return undefined;
  const traceparent = version00.test(given) ? given : fromLaterVersion(given);
  if (traceparent === undefined) return undefined;
  const tracestate = stateOf(headers['tracestate']);
  return { traceId: traceparent.slice(3, 35), traceparent, ...(tracestate === undefined ? {} : { tracestate }) };
}

/**
 * Creates an id for a request without one, so that everything logged about it can be found. The ids come from a stock
 * of random bytes, because every request needs one.
 */
export function mintTraceId(): string {
  if (drawnBytes === stock.length) {
    randomFillSync(stock);
    drawnBytes = 0;
  }
  drawnBytes += 16;
  return stock.toString('hex', drawnBytes - 16, drawnBytes);
}

const stock = Buffer.alloc(16 * 256);
let drawnBytes = stock.length;

const version00 = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const laterVersion =
  /^(?!00|ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]([0-9a-f])(-.{0,200})?$/;

/**
 * A later version begins like ours. The part that we understand is passed on in our version, with no flag except
 * "sampled".
 */
function fromLaterVersion(text: string): string | undefined {
  const [, traceId, parentId, flags = '0'] = laterVersion.exec(text) ?? [];
  return traceId === undefined ? undefined : `00-${traceId}-${parentId}-0${Number.parseInt(flags, 16) & 1}`;
}

const maxStateLength = 512;
const maxStateMembers = 32;
const key = '(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})';
const value = '[\\x20-\\x2b\\x2d-\\x3c\\x3e-\\x7e]{0,255}[\\x21-\\x2b\\x2d-\\x3c\\x3e-\\x7e]';
const member = new RegExp(`^${key}=${value}$`);

/** Several headers form one list. A key may occur in it once. */
function stateOf(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const text = [header].flat().join(',');
  if (text.length > maxStateLength) return undefined;
  const members = text.split(',').map(each => each.trim());
  const given = members.filter(each => each !== '');
  if (given.length === 0 || given.length > maxStateMembers || !given.every(each => member.test(each))) return undefined;
  const keys = new Set(given.map(each => each.slice(0, each.indexOf('='))));
  return keys.size === given.length ? given.join(',') : undefined;
}
