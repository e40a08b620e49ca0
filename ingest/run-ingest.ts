/** Ingest put together: HTTP in front, topic `clicks` behind. Stops by answering what it has taken, then leaving. */
import { ConfigError } from '../infra/errors.ts';
import { listen } from '../infra/http.ts';
import { partitionCount, topicProbe } from '../infra/kafka/admin.ts';
import { createKafka } from '../infra/kafka/client.ts';
import { createProducer } from '../infra/kafka/producer.ts';
import type { Logger } from '../infra/log.ts';
import { aborted } from '../infra/process.ts';
import { retrying } from '../infra/retry.ts';
import { names as namesOf } from '../infra/topics.ts';
import { buildIngestApp } from './app.ts';
import { createClickLog } from './click-log.ts';
import { acksOf, type IngestConfig, splitSettingsOf } from './config.ts';
import { type HotAdsDeps, openHotAds } from './hot-ads/hot-ads.ts';

/** Runs until `stop` fires. `hotAdTimes`: others than the contract's, for tests that cannot wait for minutes. */
export async function runIngest(
  config: IngestConfig,
  log: Logger,
  stop: AbortSignal,
  hotAdTimes: Pick<HotAdsDeps, 'terms' | 'pace'> = {},
): Promise<void> {
  const kafka = createKafka(config, 'ingest', log, config.INGEST_PRODUCE_TIMEOUT_MS);
  const names = namesOf(config.TOPIC_PREFIX);
  const topic = names.topic('clicks');
  const count = (of: string) => retrying('count partitions', log, stop, () => partitionCount(kafka, of));
  const partitions = await count(topic);
  const logs = await count(names.topic('hot-ads'));
  if (logs !== 1) throw new ConfigError(`topic ${names.topic('hot-ads')} has ${logs} partitions, and must have 1`);
  await using probe = topicProbe(kafka, topic);
  await using producer = createProducer(kafka, {
    acks: acksOf[config.INGEST_ACKS],
    timeoutMs: config.INGEST_PRODUCE_TIMEOUT_MS,
  });
  await using hotAds = openHotAds({
    // Joining a group may take longer than a click may wait.
    kafka: createKafka(config, 'ingest-hot-ads', log),
    ...{ names, partitions, log, split: splitSettingsOf(config), timeoutMs: config.INGEST_PRODUCE_TIMEOUT_MS },
    ...hotAdTimes,
  });
  await using clickLog = createClickLog({
    topic,
    partitions,
    partitionFor: hotAds.partitionFor,
    producer,
    lingerMs: config.INGEST_LINGER_MS,
    maxBatchBytes: config.INGEST_MAX_BATCH_BYTES,
    maxBufferBytes: config.INGEST_MAX_BUFFER_BYTES,
    timeoutMs: config.INGEST_PRODUCE_TIMEOUT_MS,
  });
  await hotAds.ready(stop);
  if (stop.aborted) return;
  const http = await buildIngestApp({
    config,
    clickLog,
    log,
    kafkaReady: () => probe.check(),
    rulesKnown: hotAds.check,
  });
  const url = await listen(http, config.HOST, config.INGEST_PORT);
  log.info({ url, topic, partitions }, 'listening');
  await aborted(stop);
  // Takes no more connections, answers 503 to new requests, waits for those under way; then `clickLog` drains.
  await http.close();
}
