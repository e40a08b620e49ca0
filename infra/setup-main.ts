/** Creates the topics and applies the migrations, then ends. It runs once before the processes of a release start. */
import { Type } from 'typebox';
import { openCluster } from './clickhouse/cluster.ts';
import { incarnationOf } from './clickhouse/incarnation.ts';
import { ClickHouseConfig, KafkaConfig, ProcessConfig } from './config.ts';
import { EmbeddedConfig } from './embedded/config.ts';
import { messageOf, Retryable } from './errors.ts';
import { ensureTopics, openAdmin } from './kafka/admin.ts';
import { createKafka } from './kafka/client.ts';
import { tellUnsafeTopics } from './kafka/topic-settings.ts';
import { migrate } from './migrate.ts';
import { reportFatal } from './process.ts';
import { beginProgram } from './program.ts';
import { names } from './topics.ts';
import { startWatchdog } from './watchdog.ts';

const SetupConfig = Type.Object({
  ...ProcessConfig.properties,
  ...KafkaConfig.properties,
  ...ClickHouseConfig.properties,
  PARTITIONS: EmbeddedConfig.properties.PARTITIONS,
});

const { config, log } = await beginProgram('setup', SetupConfig);
try {
  startWatchdog(log, config.EVENT_LOOP_STALL_MS);
  const kafka = createKafka(config, 'setup', log);
  const { topic, groupAt, rawSinkGroup } = names(config.TOPIC_PREFIX);
  await ensureTopics(kafka, names(config.TOPIC_PREFIX), config.PARTITIONS);
  log.info({ partitions: config.PARTITIONS }, 'the topics exist');
  // They may have been made by somebody else, or changed since. Nothing is changed back without being asked for.
  await tellUnsafeTopics({ kafka, names: names(config.TOPIC_PREFIX), log });
  const wasFilled = async (node: string, nodes: number) => {
    await using admin = await openAdmin(kafka);
    return (await admin.commits(groupAt(rawSinkGroup, nodes > 1 ? node : undefined), topic('clicks'))).size > 0;
  };
  await using cluster = openCluster(config, { readers: 1 });
  for (const { name, clickhouse } of cluster.nodes) {
    try {
      if ((await incarnationOf(clickhouse)) === undefined && (await wasFilled(name, cluster.nodes.length))) {
        log.warn(
          { node: name },
          'the node was emptied: its sink creates its tables, as soon as no other sink fills the former ones',
        );
        continue;
      }
      await migrate(clickhouse, log);
      log.info({ node: name }, 'the schema is current');
    } catch (error) {
      // One of several nodes may be away. Its sink creates its tables before it fills them.
      if (!(error instanceof Retryable) || cluster.nodes.length === 1) throw error;
      log.warn({ node: name, why: messageOf(error) }, 'the sink of this node will create the schema');
    }
  }
} catch (error) {
  process.exitCode = reportFatal(log, error);
}
