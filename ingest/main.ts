/** The process `ingest`: HTTP in front, topic `clicks` behind. Stops by answering what it has taken, then leaving. */
import { loadConfig, printable } from '../infra/config.ts';
import { listen } from '../infra/http.ts';
import { partitionCount, topicProbe } from '../infra/kafka/admin.ts';
import { createKafka } from '../infra/kafka/client.ts';
import { createProducer } from '../infra/kafka/producer.ts';
import { createLog } from '../infra/log.ts';
import { aborted, runProcess } from '../infra/process.ts';
import { retrying } from '../infra/retry.ts';
import { names } from '../infra/topics.ts';
import { buildIngestApp } from './app.ts';
import { createClickLog } from './click-log.ts';
import { acksOf, checkRelations, IngestConfig } from './config.ts';

const log = createLog('ingest', process.env['LOG_LEVEL'] || 'info');

await runProcess(log, async stop => {
  const config = loadConfig(IngestConfig);
  checkRelations(config);
  log.info({ config: printable(config) }, 'configuration');
  const kafka = createKafka(config, 'ingest', log, config.INGEST_PRODUCE_TIMEOUT_MS);
  const topic = names(config.TOPIC_PREFIX).topic('clicks');
  const partitions = await retrying('count partitions', log, stop, () => partitionCount(kafka, topic));
  await using probe = topicProbe(kafka, topic);
  await using producer = createProducer(kafka, {
    acks: acksOf[config.INGEST_ACKS],
    timeoutMs: config.INGEST_PRODUCE_TIMEOUT_MS,
  });
  await using clickLog = createClickLog({
    topic,
    partitions,
    producer,
    lingerMs: config.INGEST_LINGER_MS,
    maxBatchBytes: config.INGEST_MAX_BATCH_BYTES,
    maxBufferBytes: config.INGEST_MAX_BUFFER_BYTES,
    timeoutMs: config.INGEST_PRODUCE_TIMEOUT_MS,
  });
  const http = await buildIngestApp({ config, clickLog, log, kafkaReady: () => probe.check() });
  const url = await listen(http, config.HOST, config.INGEST_PORT);
  log.info({ url, topic, partitions }, 'listening');
  await aborted(stop);
  // Takes no more connections, answers 503 to new requests, waits for those under way; then `clickLog` drains.
  await http.close();
});
