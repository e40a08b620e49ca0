/** Gives a route the store as the sender of its request may see it: with all ads, or with those of one tenant. */
import type { FastifyRequest } from 'fastify';
import { tenantOf } from '../../infra/keys/tenant.ts';
import type { AdStore, openAdStores } from '../store/ad-store.ts';

export type StoreFor = (request: Pick<FastifyRequest, 'apiKey'>) => AdStore;

export function storeForSenders(storeOf: ReturnType<typeof openAdStores>): StoreFor {
  return ({ apiKey }) => storeOf(apiKey && tenantOf(apiKey));
}
