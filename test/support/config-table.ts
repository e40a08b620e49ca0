/** The tables of settings in the documents, one for each group, from the schemas (`npm run docs`). */
import { type TObject, Type } from 'typebox';
import { AggregatorConfig, SinkConfig } from '../../aggregator/config.ts';
import { ClickHouseConfig, KafkaConfig, ProcessConfig } from '../../infra/config.ts';
import { EmbeddedConfig } from '../../infra/embedded/config.ts';
import { KeysConfig } from '../../infra/keys/config.ts';
import { TlsConfig } from '../../infra/tls/config.ts';
import { IngestConfig } from '../../ingest/config.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import { JobsConfig } from '../../query-api/jobs/config.ts';

/** By the name that a document gives the group. A process has the settings of several: each variable is in the first. */
export const settingGroups: Readonly<Record<string, TObject>> = {
  'every process': ProcessConfig,
  Kafka: KafkaConfig,
  ClickHouse: ClickHouseConfig,
  'npm start': EmbeddedConfig,
  'ingest and query API': Type.Object({ ...KeysConfig.properties, ...TlsConfig.properties }),
  ingest: IngestConfig,
  aggregator: AggregatorConfig,
  sink: SinkConfig,
  'query API': QueryApiConfig,
  'job runner': JobsConfig,
};

export function configTable(group: string): string {
  const schema = settingGroups[group];
  if (!schema) throw new Error(`there is no group of settings "${group}": ${Object.keys(settingGroups).join(', ')}`);
  const names = Object.keys(settingGroups);
  const earlier = Object.values(settingGroups).slice(0, names.indexOf(group));
  const rows = Object.entries(schema.properties)
    .filter(([key]) => !earlier.some(({ properties }) => key in properties))
    .map(([key, property]) => {
      const { default: value, description } = property as { default?: unknown; description?: string };
      const shown = value === '' || value === undefined ? '' : `\`${value}\``;
      return `| \`${key}\` | ${shown} | ${description ?? ''} |`;
    });
  return ['| variable | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}
