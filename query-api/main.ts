/** Runs the query API process, which answers over HTTP from ClickHouse. Several of these processes may run. */
import { openAuditLog } from '../infra/audit/audit-log.ts';
import { openAuditTrail } from '../infra/audit/audit-trail.ts';
import { listen } from '../infra/http.ts';
import { closeHttp } from '../infra/http-drain.ts';
import { createKafka } from '../infra/kafka/client.ts';
import { watchTopicSettings } from '../infra/kafka/topic-settings.ts';
import { tellKeyMode } from '../infra/keys/config.ts';
import { openKeyLog } from '../infra/keys/key-log.ts';
import { openKeys } from '../infra/keys/open-keys.ts';
import { regionOf } from '../infra/keys/region.ts';
import { aborted, runProcess } from '../infra/process.ts';
import { beginProgram } from '../infra/program.ts';
import { openServerTls } from '../infra/tls/server-tls.ts';
import { names } from '../infra/topics.ts';
import { followPartitions } from '../ingest/hot-ads/partition-record.ts';
import { hotAdTermsOf } from '../ingest/hot-ads/rule.ts';
import { followErasures } from '../ingest/privacy/follow-erasures.ts';
import { buildQueryApi } from './app.ts';
import { QueryApiConfig, readLimitsOf, trustedProxiesOf } from './config.ts';
import { openErasureLog } from './log/erasure-log.ts';
import { partitionsOver } from './log/partitions.ts';
import { openRequestLog } from './log/request-log.ts';
import { validityRulesOver } from './log/validity-rules.ts';
import { openReplicas } from './replicas/open-replicas.ts';

const { config, log } = await beginProgram('query-api', QueryApiConfig);

await runProcess(log, async (stop, life) => {
  trustedProxiesOf(config);
  regionOf(config);
  tellKeyMode(config, log);
  const tls = openServerTls(config, { log });
  const asked = { kafka: createKafka(config, 'query-api', log), names: names(config.TOPIC_PREFIX) };
  const terms = hotAdTermsOf(config);
  await using record = followPartitions({ ...asked, terms, log });
  await using _settings = watchTopicSettings({ ...asked, log });
  const limits = readLimitsOf(config);
  await using store = openReplicas({ ...asked, config, limits, partitions: record, now: Date.now, log });
  const { replicas, countedLog, reports, nodes: list } = store;
  await using keys = openKeys({ ...asked, config, log, role: 'query-api' });
  await using keyLog = openKeyLog(asked.kafka, asked.names);
  await using audit = openAuditTrail(openAuditLog(asked.kafka, asked.names), { log });
  await using requests = openRequestLog(asked.kafka, asked.names);
  await using followed = followErasures({ ...asked, log });
  await using erasures = openErasureLog({ ...asked, erasures: followed, nodes: list });
  const http = await buildQueryApi({
    ...{ config, clickhouse: replicas.clickhouse, replicas, nodes: { list, reports } },
    ...{ log, now: Date.now, countedLog, requests },
    ...{ keys: keys.keys, quotaShares: keys.quotaShares },
    appendKeyChange: keyLog.append,
    audit,
    routing: countedLog.routing,
    splitRules: record.book,
    erasures,
    partitions: partitionsOver({ ...asked, terms, record, log }),
    validityRules: validityRulesOver({ ...asked, terms, record, log }),
    readiness: { hotAds: () => record.book.check(), partitions: record.check },
    life,
    tls,
  });
  await using _ = { [Symbol.asyncDispose]: () => closeHttp(http) };
  const url = await listen(http, config.HOST, config.QUERY_API_PORT);
  log.info({ url }, 'query API listens');
  // It has answered before: that it is alive, and that it lets nobody in yet.
  await keys.ready(stop, ['read', 'read:personal', 'operate']);
  await aborted(stop);
});
