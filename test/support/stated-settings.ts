/**
 * The text of infra/server/settings.json (`npm run docs`): the settings of each program that `npm start` runs, as JSON
 * Schema. The supervisor reads it, because infra imports no room.
 */
import type { TObject } from 'typebox';
import { AggregatorConfig, SinkConfig } from '../../aggregator/config.ts';
import { ClickHouseConfig, KafkaConfig, ProcessConfig } from '../../infra/config.ts';
import { IngestConfig } from '../../ingest/config.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import { JobsConfig } from '../../query-api/jobs/config.ts';

export const statedSettingsPath = 'infra/server/settings.json';

const programs: Readonly<Record<string, TObject>> = {
  ingest: IngestConfig,
  aggregator: AggregatorConfig,
  sink: SinkConfig,
  'query-api': QueryApiConfig,
  jobs: JobsConfig,
};
const ofInfra = [ProcessConfig, KafkaConfig, ClickHouseConfig];

export function statedSettings(): string {
  const stated = Object.entries(programs).map(([program, { properties }]) => {
    const own = Object.entries(properties).filter(([key]) => !ofInfra.some(shared => key in shared.properties));
    return [program, Object.fromEntries(own)];
  });
  return `${JSON.stringify(Object.fromEntries(stated), null, 2)}\n`;
}
