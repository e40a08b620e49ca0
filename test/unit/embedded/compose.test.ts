import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { AggregatorConfig, SinkConfig } from '../../../aggregator/config.ts';
import { EmbeddedConfig } from '../../../infra/embedded/config.ts';
import { commands, isCommand } from '../../../infra/server/commands.ts';
import { IngestConfig } from '../../../ingest/config.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { JobsConfig } from '../../../query-api/jobs/config.ts';

interface Service {
  readonly command?: readonly string[];
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly profiles?: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly stop_grace_period?: string;
}

const root = join(import.meta.dirname, '../../..');
const compose: { services: Record<string, Service> } = parse(readFileSync(join(root, 'infra/compose.yml'), 'utf8'), {
  merge: true,
});
const services = Object.entries(compose.services);
const ours = services.filter(([, { command }]) => command !== undefined);
const schemas = [IngestConfig, QueryApiConfig, AggregatorConfig, SinkConfig, JobsConfig, EmbeddedConfig];
const keys = new Set(schemas.flatMap(schema => Object.keys(schema.properties)));

describe('compose.yml', () => {
  it.each(ours)('runs a command that exists, of a program that exists: %s', (_, { command = [] }) => {
    const [name, ...rest] = command;
    expect(rest).toEqual([]);
    expect(isCommand(name) && existsSync(join(root, commands[name].program))).toBe(true);
  });

  it.each(ours)('sets only variables that exist: %s', (_, { environment = {} }) => {
    expect(Object.keys(environment).filter(key => !keys.has(key))).toEqual([]);
  });

  it.each(services.filter(([name]) => name !== 'setup'))('knows when it is healthy: %s', (_, { healthcheck }) => {
    expect(healthcheck?.test[0]).toBe('CMD');
  });

  it.each(ours)('gives it longer to stop than it may take to drain: %s', (_, { environment, stop_grace_period }) => {
    const byDefault = (text: unknown) => Number.parseInt(/:-(\d+)/.exec(String(text))?.[1] ?? '', 10);
    const graceMs = 1_000 * byDefault(stop_grace_period);
    const drainMs = byDefault(environment?.['DRAIN_DELAY_MS']) + byDefault(environment?.['DRAIN_TIMEOUT_MS']);
    expect(graceMs).toBeGreaterThan(drainMs);
  });

  it('has an image whose watchdog can end it: an init is its first process', () => {
    expect(readFileSync(join(root, 'infra/Dockerfile'), 'utf8')).toMatch(
      /^ENTRYPOINT \["\/usr\/bin\/tini", "--", "node", "infra\/server\/adclicks-server\.js"\]$/m,
    );
  });

  it('opens ports on loopback only', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    expect(ports).toHaveLength(4);
    expect(ports.filter(port => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it('starts monitoring only when asked to, with files that exist', () => {
    const asked = services.filter(([, { profiles }]) => profiles?.includes('monitoring'));
    expect(asked.map(([name]) => name)).toEqual(['prometheus', 'grafana']);
    const mounted = asked.flatMap(([, { volumes = [] }]) => volumes.filter(volume => volume.startsWith('.')));
    expect(mounted).toHaveLength(3);
    for (const volume of mounted) expect(existsSync(join(root, 'infra', volume.split(':')[0] ?? ''))).toBe(true);
  });

  it('scrapes each of its processes at the port it listens on', () => {
    const { scrape_configs }: { scrape_configs: { job_name: string; static_configs?: { targets: string[] }[] }[] } =
      parse(readFileSync(join(root, 'infra/prometheus/prometheus.yml'), 'utf8'));
    expect(scrape_configs.map(({ job_name }) => job_name).sort()).toEqual(
      ours
        .map(([name]) => name)
        .filter(name => name !== 'setup')
        .sort(),
    );
    for (const { job_name, static_configs = [] } of scrape_configs) {
      const ports = Object.entries(compose.services[job_name]?.environment ?? {});
      const port = ports.find(([key]) => key.endsWith('_PORT'))?.[1];
      for (const { targets } of static_configs) expect(targets).toEqual([`${job_name}:${port}`]);
    }
  });

  it('holds no secret: each comes from the environment', () => {
    const secrets = services.flatMap(([, { environment = {} }]) => {
      return Object.entries(environment).filter(([key]) => key.includes('PASSWORD'));
    });
    expect(secrets.filter(([, value]) => !/^\$\{[A-Z_]+:[-?]/.test(`${value}`))).toEqual([]);
  });
});
