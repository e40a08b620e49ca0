/** Runs `npm start`: the whole pipeline on this machine, from an empty directory to ready, and down again on Ctrl-C. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { Type } from 'typebox';
import { ClickHouseConfig, KafkaConfig, loadConfig, ProcessConfig } from '../config.ts';
import { createLog } from '../log.ts';
import { aborted, reportFatal, runProcess } from '../process.ts';
import { settingsOf } from '../server/program-settings.ts';
import { environmentOf } from '../settings-options.ts';
import { EmbeddedConfig } from './config.ts';
import { requireKnownLayout } from './data-layout.ts';
import { greeting } from './greeting.ts';
import { lockDataDir } from './instance-lock.ts';
import { WantedPorts } from './port-plan.ts';
import { startPipeline } from './start.ts';
import { createSupervisor, type Supervisor } from './supervisor.ts';

const groups = {
  Ingest: settingsOf('ingest'),
  'Query API': settingsOf('query-api'),
  Aggregator: settingsOf('aggregator'),
  Sink: settingsOf('sink'),
  'Job runner': settingsOf('jobs'),
  Kafka: KafkaConfig,
  ClickHouse: ClickHouseConfig,
  'Embedded broker and supervisor': EmbeddedConfig,
  'All processes': ProcessConfig,
};
/** What is read here. Every other setting is only checked, and passed on in the environment. */
const StartConfig = Type.Object({
  ...WantedPorts.properties,
  ...KafkaConfig.properties,
  ...ClickHouseConfig.properties,
  ...EmbeddedConfig.properties,
  ...ProcessConfig.properties,
});
const everySetting: typeof StartConfig.properties = Object.assign(
  { ...StartConfig.properties },
  ...Object.values(groups).map(({ properties }) => properties),
);

const command = new Command('npm start --')
  .description(
    'Starts the whole pipeline on this machine. Each option can be given as the environment variable instead.',
  )
  .addHelpText(
    'after',
    `
Everything is kept under DATA_DIR; remove that directory to start afresh. Ctrl-C stops in good order.
Unless LOG_LEVEL is given, the processes print warnings only.`,
  );
const log = createLog('start', 'info');
const given = environment();
/** The time for the processes that drain after the first one, and for the broker. */
const furtherStagesMs = 12_000;
let supervisor: Supervisor | undefined;

function environment(): NodeJS.ProcessEnv {
  try {
    const env = environmentOf(command, groups, process.argv, process.env);
    // When one user runs everything, nobody would send requests elsewhere during the delay.
    return { ...env, DRAIN_DELAY_MS: env['DRAIN_DELAY_MS'] || '0' };
  } catch (error) {
    process.exit(reportFatal(log, error));
  }
}

async function main(stop: AbortSignal): Promise<void> {
  const config = loadConfig(Type.Object(everySetting), given);
  const dataDir = resolve(config.DATA_DIR);
  const settings = { ...config, DATA_DIR: dataDir };
  const env = { ...given, DATA_DIR: dataDir };
  using _lock = await lockDataDir(dataDir);
  requireKnownLayout(dataDir);
  supervisor = createSupervisor(log, stop, config.CHILD_SILENCE_MS);
  const tookMs = () => Math.round(performance.now());
  const say = (line: string) => console.log(`[${(tookMs() / 1_000).toFixed(1)} s] ${line}`);
  try {
    const started = await startPipeline({ env, settings, supervisor, log, say, stop });
    console.log(greeting({ ...started, dataDir, tookMs: tookMs(), nowMs: Date.now() }));
    await aborted(stop);
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    // It must be done before the deadline of `runProcess`, which would leave the broker behind.
    await supervisor.stop(config.DRAIN_DELAY_MS + config.DRAIN_TIMEOUT_MS + furtherStagesMs - 500);
  }
}

// Closing the terminal is a request to stop like any other.
process.on('SIGHUP', () => process.kill(process.pid, 'SIGTERM'));
await runProcess(log, main, {
  env: given,
  // Its children have the delay in addition to their limit.
  addedDrainMs: Number(given['DRAIN_DELAY_MS']) + furtherStagesMs,
  onSecondSignal: () => supervisor?.kill(),
});
