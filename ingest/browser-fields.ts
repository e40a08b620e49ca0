/** What a browser says of itself with every request, as fields of the click that it sends: of a link, a beacon or a pixel. */
import type { FastifyRequest } from 'fastify';
import type { Clients } from '../infra/http-clients.ts';
import { type Click, isText, limits } from './click.ts';
import { loadPurposeOf } from './load-purpose.ts';
import { originOf } from './referrer.ts';

export type BrowserFields = Pick<Click, 'ip' | 'userAgent' | 'referrer' | 'purpose'>;

/** A user agent that is too long is cut, and what stood behind is not looked at. */
export function browserFieldsOf(request: FastifyRequest, clients: Pick<Clients, 'addressOf'>): BrowserFields {
  const { 'user-agent': agent, referer, origin } = request.headers;
  const cut =
    agent === undefined || agent.length <= limits.userAgentLength ? agent : agent.slice(0, limits.userAgentLength);
  const ip = clients.addressOf(request.raw);
  const referrer = originOf(origin) ?? originOf(referer);
  const purpose = loadPurposeOf(request);
  return {
    ...(ip !== undefined && { ip }),
    ...(isText(cut, limits.userAgentLength) && { userAgent: cut }),
    ...(referrer !== undefined && { referrer }),
    ...(purpose && { purpose }),
  };
}
