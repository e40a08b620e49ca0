/**
 * Runs the process `ingest`, which receives clicks over HTTP and writes them to topic `clicks`. When it stops, it first
 * answers every request that it has accepted.
 */
import { setFlagsFromString } from 'node:v8';
import { openAuditLog } from '../infra/audit/audit-log.ts';
import { openAuditTrail } from '../infra/audit/audit-trail.ts';
import { ConfigError } from '../infra/errors.ts';
import { listen } from '../infra/http.ts';
import { closeHttp } from '../infra/http-drain.ts';
import { partitionCount, topicProbe } from '../infra/kafka/admin.ts';
import { createKafka, type KafkaClient } from '../infra/kafka/client.ts';
import { createProducer } from '../infra/kafka/producer.ts';
import { tellKeyMode } from '../infra/keys/config.ts';
import { openKeys } from '../infra/keys/open-keys.ts';
import { regionOf } from '../infra/keys/region.ts';
import type { Logger } from '../infra/log.ts';
import { aborted, runProcess } from '../infra/process.ts';
import { beginProgram } from '../infra/program.ts';
import { retrying } from '../infra/retry.ts';
import { openServerTls } from '../infra/tls/server-tls.ts';
import { type Names, names as namesOf } from '../infra/topics.ts';
import { createAckChain } from './ack-chain.ts';
import { buildIngestApp } from './app.ts';
import { createClickIdMint } from './click-id.ts';
import { createClickLog } from './click-log.ts';
import { acksOf, checkRelations, IngestConfig, splitSettingsOf } from './config.ts';
import { openHotAds } from './hot-ads/hot-ads.ts';
import { hotAdTermsOf } from './hot-ads/rule.ts';
import { openKeptFields } from './open-kept-fields.ts';
import { openLinks } from './open-links.ts';

// While a broker is slow, most of what a request creates survives two collections of young objects. V8 then begins to
// create such objects among the old ones at once, permanently, where each keeps the next alive. That costs a third more
// CPU for a single click.
setFlagsFromString('--no-allocation-site-pretenuring');

const { config, log } = await beginProgram('ingest', IngestConfig);

await runProcess(log, async (stop, life) => {
  checkRelations(config);
  regionOf(config);
  tellKeyMode(config, log);
  const tls = openServerTls(config, { log });
  const kafka = createKafka(config, 'ingest', log, config.INGEST_PRODUCE_TIMEOUT_MS);
  const names = namesOf(config.TOPIC_PREFIX);
  const topic = names.topic('clicks');
  await requireOneHotAdLog(kafka, names, log, stop);
  await using probe = topicProbe(kafka, topic);
  await using producer = createProducer(kafka, {
    acks: acksOf[config.INGEST_ACKS],
    timeoutMs: config.INGEST_PRODUCE_TIMEOUT_MS,
  });
  await using hotAds = openHotAds({
    // Joining a group may take longer than a click may wait.
    kafka: createKafka(config, 'ingest-hot-ads', log),
    ...{ names, log, split: splitSettingsOf(config), terms: hotAdTermsOf(config) },
    timeoutMs: config.INGEST_PRODUCE_TIMEOUT_MS,
  });
  await using clickLog = createClickLog({
    topic,
    partitionFor: hotAds.partitionFor,
    producer,
    // It is a new writer. What an earlier process had not yet recorded stays unrecorded.
    ackChain: createAckChain(createClickIdMint()(Date.now())),
    lingerMs: config.INGEST_LINGER_MS,
    maxBatchBytes: config.INGEST_MAX_BATCH_BYTES,
    maxBufferBytes: config.INGEST_MAX_BUFFER_BYTES,
    timeoutMs: config.INGEST_PRODUCE_TIMEOUT_MS,
  });
  await using links = await openLinks({ config, clickLog, log });
  await using keptFields = await openKeptFields(config, log);
  const ofKeys = { config, kafka: createKafka(config, 'ingest-keys', log), names, log, role: 'ingest' } as const;
  // Also with API_KEYS=off: what pages send always needs its public key.
  await using keys = openKeys(ofKeys);
  await using audit = openAuditTrail(openAuditLog(kafka, names), { log });
  await hotAds.ready(stop);
  await keys.ready(stop, ['ingest', 'ingest:public']);
  if (stop.aborted) return;
  const kafkaReady = () => probe.check();
  const http = await buildIngestApp({
    ...{ config, clickLog, log, audit, tls, life, kafkaReady },
    keys: keys.keys,
    quotaShares: keys.quotaShares,
    linkKeys: links.linkKeys,
    spool: links.spool,
    kept: keptFields.kept,
    clickTime: hotAds.time,
    rulesKnown: hotAds.check,
    partitionsAgree: hotAds.checkPartitions,
  });
  const url = await listen(http, config.HOST, config.INGEST_PORT);
  log.info({ url, topic }, 'listening');
  await aborted(stop);
  // Answers new requests with 503, waits for those in progress, and accepts no more connections. Then `clickLog`
  // drains.
  await closeHttp(http);
});

/** Hot ads are announced in one order. @throws ConfigError when the topic has several partitions */
async function requireOneHotAdLog(kafka: KafkaClient, names: Names, log: Logger, stop: AbortSignal): Promise<void> {
  const topic = names.topic('hot-ads');
  const partitions = await retrying('count partitions', log, stop, () => partitionCount(kafka, topic));
  if (partitions !== 1) throw new ConfigError(`topic ${topic} has ${partitions} partitions, but must have exactly 1`);
}
