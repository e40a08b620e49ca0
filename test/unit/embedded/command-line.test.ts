import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { AggregatorConfig, SinkConfig } from '../../../aggregator/config.ts';
import { EmbeddedConfig } from '../../../infra/embedded/config.ts';
import { environmentOf, optionOf } from '../../../infra/settings-options.ts';
import { IngestConfig } from '../../../ingest/config.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { JobsConfig } from '../../../query-api/jobs/config.ts';
import { planted } from '../../support/service.ts';

const groups = { IngestConfig, QueryApiConfig, AggregatorConfig, SinkConfig, JobsConfig, EmbeddedConfig };
const main = join(import.meta.dirname, '../../../infra/embedded/npm-start.ts');
const properties: Record<string, { description?: string; default?: unknown }> = Object.assign(
  {},
  ...Object.values(groups).map(schema => schema.properties),
);
const start = (...flags: string[]) => {
  const given = { PATH: '/bin', INGEST_PORT: '1' };
  return environmentOf(new Command(), groups, ['node', 'main.ts', ...flags], given);
};

describe('the flags of npm start', () => {
  it('are the configuration keys in kebab-case', () => {
    expect(optionOf('INGEST_PORT')).toBe('--ingest-port');
  });

  it.each(Object.keys(properties))('set %s', key => {
    expect(start(optionOf(key), 'some value')[key]).toBe('some value');
  });

  it('go before the environment, which holds for all that is not given', () => {
    expect(start('--ingest-port', '2')).toEqual({ PATH: '/bin', INGEST_PORT: '2' });
    expect(start()).toEqual({ PATH: '/bin', INGEST_PORT: '1' });
  });

  it('stand in the help exactly once, for every process it starts, with description and default', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [...planted, main, '--help']);
    const help = stdout.replaceAll(/\s+/g, ' ');
    for (const [key, { description, default: byDefault }] of Object.entries(properties)) {
      expect(help.split(`${optionOf(key)} <value>`)).toHaveLength(2);
      expect(help).toContain(`${description} (${key}, default ${byDefault === '' ? 'empty' : byDefault})`);
    }
  }, 30_000);

  it.each([
    ['ingest', '--ingest-linger-ms', 'soon', 'INGEST_LINGER_MS="soon": must be a whole number'],
    ['an aggregator', '--tick-interval-ms', '99', 'TICK_INTERVAL_MS="99": must be at least 100'],
    ['the sink', '--sink-linger-ms', '-1', 'SINK_LINGER_MS="-1": must be at least 0'],
    ['the query API', '--query-timeout-ms', '26000', 'QUERY_TIMEOUT_MS="26000": must be at most 25000'],
    ['the job runner', '--reconcile-repair', 'maybe', 'RECONCILE_REPAIR="maybe": must be true or false'],
  ])('are checked before anything starts, also those that only %s reads', async (_, flag, value, message) => {
    const parent = mkdtempSync(join(tmpdir(), 'flags-'));
    const dataDir = join(parent, 'data');
    try {
      const run = promisify(execFile)(process.execPath, [...planted, main, '--data-dir', dataDir, flag, value]);
      await expect(run).rejects.toMatchObject({ code: 78, stdout: expect.stringContaining(JSON.stringify(message)) });
      expect(existsSync(dataDir)).toBe(false);
    } finally {
      rmSync(parent, { recursive: true });
    }
  });
});
