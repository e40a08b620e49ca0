/**
 * The process that owns the embedded engine: migrations, the query API and the sink in one, because only one process
 * may open the engine's directory. It answers queries also while Kafka is away. The engine closes last.
 */
import { Type } from 'typebox';
import { SinkConfig } from '../aggregator/config.ts';
import { openSink, type Sink } from '../aggregator/sink/sink.ts';
import { openClickHouse } from '../infra/clickhouse.ts';
import { loadConfig, printable } from '../infra/config.ts';
import { listen } from '../infra/http.ts';
import { closeHttp } from '../infra/http-drain.ts';
import { createKafka } from '../infra/kafka/client.ts';
import { clientIdAt, forgetFormerMember } from '../infra/kafka/former-member.ts';
import { createLog } from '../infra/log.ts';
import { migrate } from '../infra/migrate.ts';
import { aborted, createCrash, runProcess } from '../infra/process.ts';
import { retrying } from '../infra/retry.ts';
import { names as namesOf } from '../infra/topics.ts';
import { followPartitions } from '../ingest/hot-ads/partition-record.ts';
import { hotAdTermsOf } from '../ingest/hot-ads/rule.ts';
import { buildQueryApi } from './app.ts';
import { QueryApiConfig, trustedProxiesOf } from './config.ts';
import { openConservationWatch } from './jobs/conservation-watch.ts';
import { openJobs } from './jobs/open-jobs.ts';
import { partitionsOver } from './partitions.ts';
import { pipelineOf } from './pipeline.ts';

const log = createLog('store', process.env['LOG_LEVEL'] ?? 'info');

await runProcess(log, async (stop, life) => {
  const config = loadConfig(Type.Object({ ...SinkConfig.properties, ...QueryApiConfig.properties }));
  trustedProxiesOf(config);
  log.info({ config: printable(config) }, 'configuration');
  const names = namesOf(config.TOPIC_PREFIX);
  const clientId = clientIdAt('store', config.QUERY_API_PORT);
  const kafka = createKafka(config, clientId, log);
  await using clickhouse = await openClickHouse(config, { readers: config.QUERY_READERS });
  await migrate(clickhouse, log);
  const terms = hotAdTermsOf(config);
  await using record = followPartitions({ kafka, names, terms, log });
  await using pipeline = pipelineOf({ kafka, names, partitions: record });
  await using conservation = openConservationWatch({ config, clickhouse, pipeline, now: Date.now, log });

  let running: Sink | undefined;
  const checkSink = () => {
    if (!running) throw new Error('waits for Kafka');
    running.check();
  };
  const http = await buildQueryApi({
    config,
    clickhouse,
    log,
    now: Date.now,
    pipeline,
    routing: pipeline.routing,
    partitions: partitionsOver({ kafka, names, terms, record, log }),
    rowsChecked: conservation.latest,
    readiness: { sink: checkSink, hotAds: () => record.book.check(), partitions: record.checkKnown },
    life,
  });
  await using _ = { [Symbol.asyncDispose]: () => closeHttp(http) };
  log.info({ url: await listen(http, config.HOST, config.QUERY_API_PORT) }, 'query API listens');

  const { crash, promise: crashed } = createCrash(log);
  await record.ready(stop);
  if (stop.aborted) return;
  const deps = { kafka, clickhouse, names, config, log, onCrash: crash };
  for (const group of [names.rawSinkGroup, names.aggregateSinkGroup])
    await forgetFormerMember(kafka, group, { clientId, port: config.QUERY_API_PORT, log });
  await using sink = await retrying('join groups', log, stop, () => openSink(deps));
  running = sink;
  await using _jobs = openJobs({ config, clickhouse, pipeline, now: Date.now, log });
  log.info({ partitions: record.book.partitions }, 'store runs');
  await Promise.race([aborted(stop), crashed]);
});
