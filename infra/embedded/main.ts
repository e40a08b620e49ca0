/** `npm start`: the whole pipeline on this machine, from an empty directory to ready, and down again on Ctrl-C. */
import { resolve } from 'node:path';
import { Type } from 'typebox';
import { AggregatorConfig, SinkConfig } from '../../aggregator/config.ts';
import { IngestConfig } from '../../ingest/config.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import { ClickHouseConfig, KafkaConfig, loadConfig, ProcessConfig } from '../config.ts';
import { createLog, type Logger } from '../log.ts';
import { aborted, drainTimeoutMs, exitCodes, runProcess } from '../process.ts';
import { environmentOf } from './command-line.ts';
import { EmbeddedConfig } from './config.ts';
import { requireKnownLayout } from './data-layout.ts';
import { greeting } from './greeting.ts';
import { lockDataDir } from './instance-lock.ts';
import { startPipeline } from './start.ts';
import { createSupervisor, type Supervisor } from './supervisor.ts';

const groups = {
  Ingest: IngestConfig,
  'Query API': QueryApiConfig,
  Aggregator: AggregatorConfig,
  Sink: SinkConfig,
  Kafka: KafkaConfig,
  ClickHouse: ClickHouseConfig,
  'Embedded broker and supervisor': EmbeddedConfig,
  'All processes': ProcessConfig,
};
const StartConfig = Type.Object({
  ...IngestConfig.properties,
  ...QueryApiConfig.properties,
  ...AggregatorConfig.properties,
  ...SinkConfig.properties,
  ...EmbeddedConfig.properties,
});

const given = environmentOf(process.argv, process.env, groups);
const log = createLog('start', 'info');

await runProcess(log, async stop => {
  const config = loadConfig(StartConfig, given);
  const dataDir = resolve(config.DATA_DIR);
  const settings = { ...config, DATA_DIR: dataDir };
  const env = { ...given, DATA_DIR: dataDir };
  using _lock = await lockDataDir(dataDir);
  requireKnownLayout(dataDir);
  const supervisor = createSupervisor(log, stop);
  onFurtherSignals(supervisor, log);
  const tookMs = () => Math.round(performance.now());
  const say = (line: string) => console.log(`[${(tookMs() / 1_000).toFixed(1)} s] ${line}`);
  try {
    const started = await startPipeline({ env, settings, supervisor, log, say, stop });
    console.log(greeting({ ...started, dataDir, tookMs: tookMs(), nowMs: Date.now() }));
    await aborted(stop);
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    // Before `runProcess` loses its patience, which would leave the broker behind.
    await supervisor.stop(drainTimeoutMs - 500);
  }
});

function onFurtherSignals(supervisor: Supervisor, log: Logger): void {
  // A closed terminal asks to stop like any other.
  process.on('SIGHUP', () => process.kill(process.pid, 'SIGTERM'));
  let firstAt: number | undefined;
  process.on('SIGINT', () => {
    firstAt ??= performance.now();
    // npm passes on the Ctrl-C that the terminal has sent us already: that echo is not a second one.
    if (performance.now() - firstAt < 500) return;
    log.warn('ending everything at once');
    supervisor.kill();
    process.exit(exitCodes.failure);
  });
}
