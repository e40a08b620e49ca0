import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import { checkRelations, IngestConfig } from '../../../ingest/config.ts';

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

  it('refuses a share of one client that one body does not fit in', () => {
    expect(() => checkRelations(load({ INGEST_CLIENT_BUFFER_BYTES: '2000000' }))).toThrow(
      /INGEST_CLIENT_BUFFER_BYTES=2000000: must be at least INGEST_BODY_LIMIT_BYTES=4194304/,
    );
  });

  it('refuses to believe everybody’s X-Forwarded-For, and says what to give instead', () => {
    expect(() => checkRelations(load({ INGEST_TRUST_PROXY: 'true' }))).toThrow(
      /^INGEST_TRUST_PROXY="true": would let every client choose .* the number of proxies in front/,
    );
    expect(() => checkRelations(load({ INGEST_TRUST_PROXY: '10.0.0.0/8, 1' }))).toThrow(/\("1" is not one of these\)/);
    expect(() => checkRelations(load({ INGEST_TRUST_PROXY: '2' }))).not.toThrow();
  });

  it('limits clicks by default, generously', () => {
    expect(load({}).INGEST_RATE_LIMIT_PER_MINUTE).toBeGreaterThanOrEqual(1_000_000);
  });
});
