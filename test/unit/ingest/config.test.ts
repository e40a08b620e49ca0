import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import { checkRelations, IngestConfig, trustProxyOf } from '../../../ingest/config.ts';

const load = (env: Record<string, string>) => loadConfig(IngestConfig, env);

describe('IngestConfig', () => {
  it('waits for all in-sync replicas by default', () => {
    expect(load({}).INGEST_ACKS).toBe('all');
  });

  it.each([
    { INGEST_ACKS: '2' },
    { INGEST_LINGER_MS: '-1' },
    { INGEST_MAX_BATCH_BYTES: '2000000' },
    { INGEST_PORT: 'http' },
    { INGEST_MAX_ITEMS: '1.5' },
  ])('refuses %j and names the variable', env => {
    expect(() => load(env)).toThrow(Object.keys(env)[0]);
  });

  it('describes every variable', () => {
    for (const [key, property] of Object.entries(IngestConfig.properties))
      expect(property, key).toHaveProperty('description');
  });

  it('has defaults that fit together', () => {
    expect(() => checkRelations(load({}))).not.toThrow();
  });

  it('refuses a buffer that the largest request does not fit in', () => {
    expect(() => checkRelations(load({ INGEST_MAX_BUFFER_BYTES: '5000000' }))).toThrow(
      /INGEST_MAX_BUFFER_BYTES=5000000/,
    );
  });

  it.each([
    ['true', true],
    ['false', false],
    ['10.0.0.0/8,::1', '10.0.0.0/8,::1'],
  ])('hands INGEST_TRUST_PROXY=%s to fastify as %j', (text, expected) => {
    expect(trustProxyOf({ INGEST_TRUST_PROXY: text })).toBe(expected);
  });
});
