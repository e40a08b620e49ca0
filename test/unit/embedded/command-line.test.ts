import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { AggregatorConfig, SinkConfig } from '../../../aggregator/config.ts';
import { EmbeddedConfig } from '../../../infra/embedded/config.ts';
import { environmentOf, optionOf } from '../../../infra/settings-options.ts';
import { IngestConfig } from '../../../ingest/config.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';

const groups = { IngestConfig, QueryApiConfig, AggregatorConfig, SinkConfig, EmbeddedConfig };
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
    const main = join(import.meta.dirname, '../../../infra/embedded/npm-start.ts');
    const { stdout } = await promisify(execFile)(process.execPath, [main, '--help']);
    const help = stdout.replaceAll(/\s+/g, ' ');
    for (const [key, { description, default: byDefault }] of Object.entries(properties)) {
      expect(help.split(`${optionOf(key)} <value>`)).toHaveLength(2);
      expect(help).toContain(`${description} (${key}, default ${byDefault === '' ? 'empty' : byDefault})`);
    }
  }, 30_000);
});
