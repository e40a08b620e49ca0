/** The sink as a process of its own. */
import { openClickHouse } from '../infra/clickhouse.ts';
import { loadConfig, printable } from '../infra/config.ts';
import { createHttp, listen } from '../infra/http.ts';
import { closeHttp } from '../infra/http-drain.ts';
import { topicProbe } from '../infra/kafka/admin.ts';
import { createKafka } from '../infra/kafka/client.ts';
import { clientIdAt, forgetFormerMember } from '../infra/kafka/former-member.ts';
import { createLog } from '../infra/log.ts';
import { aborted, createCrash, runProcess } from '../infra/process.ts';
import { retrying } from '../infra/retry.ts';
import { names as namesOf } from '../infra/topics.ts';
import { followPartitions } from '../ingest/hot-ads/partition-record.ts';
import { hotAdTermsOf } from '../ingest/hot-ads/rule.ts';
import { SinkConfig } from './config.ts';
import { openSink, type Sink } from './sink/sink.ts';

const log = createLog('sink', process.env['LOG_LEVEL'] ?? 'info');

await runProcess(log, async (stop, life) => {
  const config = loadConfig(SinkConfig);
  log.info({ config: printable(config) }, 'configuration');
  const names = namesOf(config.TOPIC_PREFIX);
  const clientId = clientIdAt('sink', config.SINK_PORT);
  const kafka = createKafka(config, clientId, log);
  const { crash, promise: crashed } = createCrash(log);
  await using partitions = followPartitions({ kafka, names, terms: hotAdTermsOf(config), log });
  await using clickhouse = openClickHouse(config, { readers: 1 });
  await using probe = topicProbe(kafka, names.topic('clicks'));
  let running: Sink | undefined;
  const checkSink = () => {
    if (!running) throw new Error('has not joined its groups yet');
    running.check();
  };
  const http = await createHttp({
    title: 'Sink',
    description: 'Health and metrics of the sink.',
    log,
    bodyLimitBytes: 1024,
    config,
    servesPages: false,
    readiness: {
      kafka: probe.check,
      clickhouse: clickhouse.ping,
      inserts: checkSink,
      partitions: partitions.checkKnown,
    },
    life,
  });
  await using _ = { [Symbol.asyncDispose]: () => closeHttp(http) };
  const url = await listen(http, config.HOST, config.SINK_PORT);
  const deps = { kafka, clickhouse, names, config, log, onCrash: crash };
  await partitions.ready(stop);
  if (stop.aborted) return;
  // Who has the port is the only one of this name: the member it finds in the group is dead.
  for (const group of [names.rawSinkGroup, names.aggregateSinkGroup, names.resultSinkGroup])
    await forgetFormerMember(kafka, group, { clientId, port: config.SINK_PORT, log });
  await using sink = await retrying('join groups', log, stop, () => openSink(deps));
  running = sink;
  log.info({ url }, 'sink runs');
  await Promise.race([aborted(stop), crashed]);
});
