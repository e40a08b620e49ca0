/** Runs the aggregator process. Several of these processes share the partitions. */
import { randomInt } from 'node:crypto';
import { openHealthServer } from '../infra/http-health.ts';
import { topicProbe } from '../infra/kafka/admin.ts';
import { createKafka } from '../infra/kafka/client.ts';
import { clientIdAt, forgetFormerMember } from '../infra/kafka/former-member.ts';
import { aborted, createCrash, runProcess } from '../infra/process.ts';
import { beginProgram } from '../infra/program.ts';
import { retrying } from '../infra/retry.ts';
import { names as namesOf } from '../infra/topics.ts';
import { followPartitions } from '../ingest/hot-ads/partition-record.ts';
import { hotAdTermsOf } from '../ingest/hot-ads/rule.ts';
import { AggregatorConfig } from './config.ts';
import { openTaskGroup, type TaskGroup } from './task-group.ts';

const { config, log } = await beginProgram('aggregator', AggregatorConfig);

await runProcess(log, async (stop, life) => {
  const names = namesOf(config.TOPIC_PREFIX);
  const clientId = clientIdAt('aggregator', config.AGGREGATOR_PORT);
  const kafka = createKafka(config, clientId, log);
  const { crash, promise: crashed } = createCrash(log);
  await using partitions = followPartitions({ kafka, names, terms: hotAdTermsOf(config), log, keepsTime: true });
  await using probe = topicProbe(kafka, names.topic('clicks'));
  let running: TaskGroup | undefined;
  const checkTasks = () => {
    if (!running) throw new Error('has not joined the group yet');
    running.check();
  };
  await using health = await openHealthServer({
    title: 'Aggregator',
    port: config.AGGREGATOR_PORT,
    readiness: { kafka: probe.check, tasks: checkTasks, partitions: partitions.checkReadable },
    ...{ config, life, log },
  });
  const { partitionsAt, book: rules } = partitions;
  const deps = { kafka, names, config, partitionsAt, rules, hashSeed: randomInt(2 ** 32), log, onCrash: crash };
  await partitions.ready(stop);
  if (stop.aborted) return;
  // The process that owns the port is the only one of this name. So a member of this name in the group belongs to a
  // process that is dead.
  await forgetFormerMember(kafka, names.aggregatorGroup, { clientId, port: config.AGGREGATOR_PORT, log });
  await using group = await retrying('join group', log, stop, () => openTaskGroup(deps));
  running = group;
  log.info({ url: health.url, partitions: partitions.book.partitions }, 'aggregator runs');
  await Promise.race([aborted(stop), crashed]);
});
