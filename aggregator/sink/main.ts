/** Runs the sink process, which fills all ClickHouse nodes or some of them. */
import { openCluster } from '../../infra/clickhouse/cluster.ts';
import { openHealthServer } from '../../infra/http-health.ts';
import { topicProbe } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { clientIdAt, forgetFormerMember } from '../../infra/kafka/former-member.ts';
import { aborted, createCrash, runProcess } from '../../infra/process.ts';
import { beginProgram } from '../../infra/program.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { followPartitions } from '../../ingest/hot-ads/partition-record.ts';
import { hotAdTermsOf } from '../../ingest/hot-ads/rule.ts';
import { followErasures } from '../../ingest/privacy/follow-erasures.ts';
import { SinkConfig } from '../config.ts';
import { followNode } from './node-sink.ts';
import { nodeChecks, servedNodes } from './served-nodes.ts';
import type { Sink } from './sink.ts';

const { config, log } = await beginProgram('sink', SinkConfig);

await runProcess(log, async (stop, life) => {
  const names = namesOf(config.TOPIC_PREFIX);
  const clientId = clientIdAt('sink', config.SINK_PORT);
  const kafka = createKafka(config, clientId, log);
  const { crash, promise: crashed } = createCrash(log);
  await using partitions = followPartitions({ kafka, names, terms: hotAdTermsOf(config), log });
  await using erasures = followErasures({ kafka, names, log });
  await using cluster = openCluster(config, { readers: 1 });
  const served = servedNodes(cluster, config.SINK_NODES);
  await using probe = topicProbe(kafka, names.topic('clicks'));
  const sinks = new Map<string, Sink>();
  const inserts = (node: string) => () => {
    const sink = sinks.get(node);
    if (!sink) throw new Error('has not joined its groups yet');
    sink.check();
  };
  await using health = await openHealthServer({
    title: 'Sink',
    port: config.SINK_PORT,
    readiness: {
      kafka: probe.check,
      ...nodeChecks(served, inserts),
      partitions: partitions.checkKnown,
      erasures: erasures.check,
    },
    ...{ config, life, log },
  });
  await partitions.ready(stop);
  // A row of a person who is erased must not go into a node that has no such row any more.
  await erasures.ready(stop);
  if (stop.aborted) return;
  await using nodes = new AsyncDisposableStack();
  const topology = { shards: cluster.shards.length, nodes: cluster.nodes.length };
  for (const node of served) {
    const { clickhouse } = node;
    const sink = followNode({
      ...{ kafka, clickhouse, names, config, erasures, log, topology, of: node, onCrash: crash },
      // The process that owns the port is the only one of this name. So a member of this name in a group belongs to a
      // process that is dead.
      async beforeJoining({ inGroups }) {
        for (const group of [names.rawSinkGroup, names.aggregateSinkGroup, names.resultSinkGroup])
          await forgetFormerMember(kafka, names.groupAt(group, inGroups), { clientId, port: config.SINK_PORT, log });
      },
    });
    sinks.set(node.name, nodes.use(sink));
  }
  log.info({ url: health.url, nodes: served.map(({ name }) => name) }, 'sink serves');
  await Promise.race([aborted(stop), crashed]);
});
