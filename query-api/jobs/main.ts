/** Starts a job runner. Several may be started: one holds the lease and works, the others wait for the lease. */
import { hostname } from 'node:os';
import { readingAs } from '../../infra/clickhouse/clickhouse.ts';
import { openHealthServer } from '../../infra/http-health.ts';
import { topicProbe } from '../../infra/kafka/admin.ts';
import { watchAppends } from '../../infra/kafka/append-watch.ts';
import { createKafka, type KafkaClient } from '../../infra/kafka/client.ts';
import { clientIdAt, forgetFormerMember } from '../../infra/kafka/former-member.ts';
import { aborted, createCrash, runProcess } from '../../infra/process.ts';
import { beginProgram } from '../../infra/program.ts';
import { retrying } from '../../infra/retry.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { followPartitions } from '../../ingest/hot-ads/partition-record.ts';
import { hotAdTermsOf } from '../../ingest/hot-ads/rule.ts';
import { type FollowedErasures, followErasures } from '../../ingest/privacy/follow-erasures.ts';
import { type JobLog, openJobLog } from '../log/job-log.ts';
import { openRequestLog, type RequestLog } from '../log/request-log.ts';
import { type OpenReplicas, openReplicas } from '../replicas/open-replicas.ts';
import { createRunnerStore } from '../store/jobs/runner-store.ts';
import type { SplitRules } from '../store/split-minutes.ts';
import { JobsConfig } from './config.ts';
import { openConservationWatch } from './conservation/conservation-watch.ts';
import { openJobs } from './open-jobs.ts';
import { openReplicaChecks } from './replicas/check-replicas.ts';
import { type Lease, openLease } from './runner/lease.ts';
import { beginTerm, type TermDeps } from './runner/term.ts';

const { config, log } = await beginProgram('jobs', JobsConfig);
const names = namesOf(config.TOPIC_PREFIX);
/** Readers of each node: jobs, which run one after another, the roll-up, and the comparison of rows with counters. */
const limits = { readers: 4 };

await runProcess(log, async (stop, life) => {
  const clientId = clientIdAt('jobs', config.JOBS_PORT);
  const kafka = createKafka(config, clientId, log);
  const { crash, promise: crashed } = createCrash(log);
  await using partitions = followPartitions({ kafka, names, terms: hotAdTermsOf(config), log });
  await using store = openReplicas({ kafka, names, partitions, config, limits, now: Date.now, log });
  await using requests = openRequestLog(kafka, names);
  await using erasures = followErasures({ kafka, names, log });
  await using probe = topicProbe(kafka, names.topic('job-requests'));
  let running: Lease | undefined;
  // A runner that waits for the lease has it too.
  await using health = await openHealthServer({
    title: 'Job runner',
    port: config.JOBS_PORT,
    readiness: {
      kafka: probe.check,
      clickhouse: readingAs('jobs', store.replicas.clickhouse).ping,
      lease() {
        if (!running) throw new Error('this process has not joined its consumer group yet');
        running.check();
      },
      partitions: partitions.checkKnown,
    },
    ...{ config, life, log },
  });
  await partitions.ready(stop);
  if (stop.aborted) return;
  const term = termDepsOf(kafka, store, health.url);
  // No other process can have this port. So a member of the same name that is still in the group is dead.
  await forgetFormerMember(kafka, names.jobRunner, { clientId, port: config.JOBS_PORT, log });
  await using lease = await retrying('join group', log, stop, () =>
    openLease({
      ...{ kafka, names, sessionTimeoutMs: config.JOBS_SESSION_TIMEOUT_MS },
      beginTerm: over => beginTerm(term, over),
      work: ({ log: jobLog }) => openWork({ kafka, store, requests, erasures, jobLog, splitRules: partitions.book }),
      ...{ log, onCrash: crash },
    }),
  );
  running = lease;
  log.info({ url: health.url }, 'job runner runs');
  await Promise.race([aborted(stop), crashed]);
});

function termDepsOf(kafka: KafkaClient, { replicas }: OpenReplicas, url: string): TermDeps {
  const clickhouse = readingAs('jobs', replicas.clickhouse);
  const runners = createRunnerStore(clickhouse, { timeoutMs: config.QUERY_TIMEOUT_MS });
  return {
    openLog: () => openJobLog(kafka, names),
    // Any node will do here. What a job reads in order to write is read in turns (replicas/turns.ts).
    runners: { latest: () => replicas.reading(runners.latest) },
    host: `${hostname()}:${new URL(url).port}`,
    now: Date.now,
  };
}

interface WorkDeps {
  readonly kafka: KafkaClient;
  readonly store: OpenReplicas;
  readonly requests: RequestLog;
  readonly erasures: FollowedErasures;
  readonly jobLog: JobLog;
  readonly splitRules: SplitRules;
}

/** Starts everything that works during one term. */
function openWork({ kafka, store, requests, erasures, jobLog, splitRules }: WorkDeps): AsyncDisposable {
  const deps = { config, store, countedLog: store.countedLog, requests, jobLog, now: Date.now, log };
  const open = new AsyncDisposableStack();
  open.use(openConservationWatch(deps));
  open.use(
    openJobs({
      ...deps,
      ...{ erasures, splitRules },
      whenAsked: onAppended => watchAppends(kafka, { topic: names.topic('job-requests'), onAppended, log }),
    }),
  );
  open.use(openReplicaChecks({ ...deps, erasures }));
  return open;
}
