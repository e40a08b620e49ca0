/** The process `ingest`. */
import { loadConfig, printable } from '../infra/config.ts';
import { createLog } from '../infra/log.ts';
import { runProcess } from '../infra/process.ts';
import { checkRelations, IngestConfig } from './config.ts';
import { runIngest } from './run-ingest.ts';

const log = createLog('ingest', process.env['LOG_LEVEL'] || 'info');

await runProcess(log, async stop => {
  const config = loadConfig(IngestConfig);
  checkRelations(config);
  log.info({ config: printable(config) }, 'configuration');
  await runIngest(config, log, stop);
});
