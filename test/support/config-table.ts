/** README's table of settings, from the schemas. Run as a program it prints the table, to be pasted. */
import type { TObject } from 'typebox';
import { AggregatorConfig, SinkConfig } from '../../aggregator/config.ts';
import { ClickHouseConfig, KafkaConfig, ProcessConfig } from '../../infra/config.ts';
import { EmbeddedConfig } from '../../infra/embedded/config.ts';
import { IngestConfig } from '../../ingest/config.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import { JobsConfig } from '../../query-api/jobs/config.ts';

const groups: readonly (readonly [string, TObject])[] = [
  ['every process', ProcessConfig],
  ['Kafka', KafkaConfig],
  ['ClickHouse', ClickHouseConfig],
  ['`npm start`', EmbeddedConfig],
  ['ingest', IngestConfig],
  ['aggregator', AggregatorConfig],
  ['sink', SinkConfig],
  ['query API', QueryApiConfig],
  ['job runner', JobsConfig],
];

/** One row per variable, under the first group that has it. */
export function configTable(): string {
  const seen = new Set<string>();
  const rows = groups.flatMap(([group, schema]) =>
    Object.entries(schema.properties).flatMap(([key, property]) => {
      if (seen.has(key)) return [];
      seen.add(key);
      const { default: value, description } = property as { default?: unknown; description?: string };
      const shown = value === '' || value === undefined ? '' : `\`${value}\``;
      return [`| \`${key}\` | ${shown} | ${group} | ${description ?? ''} |`];
    }),
  );
  return ['| variable | default | of | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

if (import.meta.main) console.log(configTable());
