/** The query API as a process of its own. */
import { loadConfig, printable } from '../infra/config.ts';
import { listen } from '../infra/http.ts';
import { closeHttp } from '../infra/http-drain.ts';
import { createKafka } from '../infra/kafka/client.ts';
import { createLog } from '../infra/log.ts';
import { aborted, runProcess } from '../infra/process.ts';
import { names } from '../infra/topics.ts';
import { followPartitions } from '../ingest/hot-ads/partition-record.ts';
import { hotAdTermsOf } from '../ingest/hot-ads/rule.ts';
import { buildQueryApi } from './app.ts';
import { QueryApiConfig, trustedProxiesOf } from './config.ts';
import { openConservationWatch } from './jobs/conservation-watch.ts';
import { openJobs } from './jobs/open-jobs.ts';
import { partitionsOver } from './partitions.ts';
import { openReplicaChecks } from './replicas/check-replicas.ts';
import { openReplicas } from './replicas/open-replicas.ts';

const log = createLog('query-api', process.env['LOG_LEVEL'] ?? 'info');

await runProcess(log, async (stop, life) => {
  const config = loadConfig(QueryApiConfig);
  trustedProxiesOf(config);
  log.info({ config: printable(config) }, 'configuration');
  const asked = { kafka: createKafka(config, 'query-api', log), names: names(config.TOPIC_PREFIX) };
  const terms = hotAdTermsOf(config);
  await using record = followPartitions({ ...asked, terms, log });
  const readers = config.QUERY_READERS;
  await using store = openReplicas({ ...asked, config, readers, partitions: record, now: Date.now, log });
  const { replicas, pipeline, reports, nodes: list } = store;
  const { clickhouse } = replicas;
  await using conservation = openConservationWatch({ config, clickhouse, pipeline, now: Date.now, log });
  await using comparison = openReplicaChecks(store, config, Date.now, log);
  const nodes = { list, reports, checked: comparison.latest };
  const rowsChecked = conservation.latest;
  const http = await buildQueryApi({
    ...{ config, clickhouse, replicas, nodes, log, now: Date.now, pipeline, rowsChecked },
    routing: pipeline.routing,
    partitions: partitionsOver({ ...asked, terms, record, log }),
    readiness: { hotAds: () => record.book.check(), partitions: record.check },
    life,
  });
  await using _ = { [Symbol.asyncDispose]: () => closeHttp(http) };
  await using _jobs = openJobs({ config, clickhouse, pipeline, now: Date.now, log });
  const url = await listen(http, config.HOST, config.QUERY_API_PORT);
  log.info({ url }, 'query API listens');
  await aborted(stop);
});
