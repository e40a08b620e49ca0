/**
 * Runs the process `ingest`, which receives clicks over HTTP and writes them to topic `clicks`. When it stops, it first
 * answers every request that it has accepted.
 */
import { setFlagsFromString } from 'node:v8';
import { ConfigError } from '../infra/errors.ts';
import { listen } from '../infra/http.ts';
import { closeHttp } from '../infra/http-drain.ts';
import { partitionCount, topicProbe } from '../infra/kafka/admin.ts';
import { createKafka } from '../infra/kafka/client.ts';
import { createProducer } from '../infra/kafka/producer.ts';
import { keyModeOf, requireUsableKey, tellKeyMode } from '../infra/keys/config.ts';
import { followKeys } from '../infra/keys/key-follower.ts';
import { aborted, runProcess } from '../infra/process.ts';
import { beginProgram } from '../infra/program.ts';
import { retrying } from '../infra/retry.ts';
import { names as namesOf } from '../infra/topics.ts';
import { createAckChain } from './ack-chain.ts';
import { buildIngestApp } from './app.ts';
import { createClickIdMint } from './click-id.ts';
import { createClickLog } from './click-log.ts';
import { acksOf, checkRelations, IngestConfig, splitSettingsOf } from './config.ts';
import { openHotAds } from './hot-ads/hot-ads.ts';
import { hotAdTermsOf } from './hot-ads/rule.ts';
import { openLinks } from './open-links.ts';

// While a broker is slow, most of what a request creates survives two collections of young objects. V8 then begins to
// create such objects among the old ones at once, permanently, where each keeps the next alive. That costs a third more
// CPU for a single click.
setFlagsFromString('--no-allocation-site-pretenuring');

const { config, log } = await beginProgram('ingest', IngestConfig);

await runProcess(log, async (stop, life) => {
  checkRelations(config);
  tellKeyMode(config, log);
  const kafka = createKafka(config, 'ingest', log, config.INGEST_PRODUCE_TIMEOUT_MS);
  const names = namesOf(config.TOPIC_PREFIX);
  const topic = names.topic('clicks');
  const countOf = (of: string) => retrying('count partitions', log, stop, () => partitionCount(kafka, of));
  const logs = await countOf(names.topic('hot-ads'));
  if (logs !== 1)
    throw new ConfigError(`topic ${names.topic('hot-ads')} has ${logs} partitions, but must have exactly 1`);
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
  const keyMode = keyModeOf(config);
  await using keys =
    keyMode === 'off' ? undefined : followKeys({ kafka: createKafka(config, 'ingest-keys', log), names, log });
  await hotAds.ready(stop);
  if (keyMode === 'required') await keys?.ready(stop);
  if (stop.aborted) return;
  requireUsableKey(config, keys?.book.list() ?? [], ['ingest'], Date.now());
  const kafkaReady = () => probe.check();
  const http = await buildIngestApp({
    config,
    clickLog,
    log,
    ...(keys && { keys }),
    linkKeys: links.linkKeys,
    spool: links.spool,
    kafkaReady,
    rulesKnown: hotAds.check,
    partitionsAgree: hotAds.checkPartitions,
    life,
  });
  const url = await listen(http, config.HOST, config.INGEST_PORT);
  log.info({ url, topic }, 'listening');
  await aborted(stop);
  // Answers new requests with 503, waits for those in progress, and accepts no more connections. Then `clickLog`
  // drains.
  await closeHttp(http);
});
