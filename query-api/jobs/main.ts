/** The job runner. Several of them may run: one has the lease and works, the others wait for it. */
import { hostname } from 'node:os';
import { readingAs } from '../../infra/clickhouse/clickhouse.ts';
import { openHealthServer } from '../../infra/http-health.ts';
import { topicProbe } from '../../infra/kafka/admin.ts';
import { watchAppends } from '../../infra/kafka/append-watch.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { clientIdAt, forgetFormerMember } from '../../infra/kafka/former-member.ts';
import { aborted, createCrash, runProcess } from '../../infra/process.ts';
import { beginProgram } from '../../infra/program.ts';
import { retrying } from '../../infra/retry.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { followPartitions } from '../../ingest/hot-ads/partition-record.ts';
import { hotAdTermsOf } from '../../ingest/hot-ads/rule.ts';
import { openJobLog } from '../log/job-log.ts';
import { openRequestLog } from '../log/request-log.ts';
import { openReplicas } from '../replicas/open-replicas.ts';
import { createRunnerStore } from '../store/jobs/runner-store.ts';
import { JobsConfig } from './config.ts';
import { openConservationWatch } from './conservation/conservation-watch.ts';
import { openJobs } from './open-jobs.ts';
import { openReplicaChecks } from './replicas/check-replicas.ts';
import { type Lease, openLease } from './runner/lease.ts';
import { beginTerm, type Term } from './runner/term.ts';

const { config, log } = await beginProgram('jobs', JobsConfig);
/** Of each node, for jobs, which come one after another, what is worked out beforehand, and the watch over the rows. */
const limits = { readers: 4 };

await runProcess(log, async (stop, life) => {
  const names = namesOf(config.TOPIC_PREFIX);
  const clientId = clientIdAt('jobs', config.JOBS_PORT);
  const kafka = createKafka(config, clientId, log);
  const { crash, promise: crashed } = createCrash(log);
  await using partitions = followPartitions({ kafka, names, terms: hotAdTermsOf(config), log });
  const opening = { kafka, names, partitions, config, limits, now: Date.now, log };
  await using store = openReplicas(opening);
  const { replicas, countedLog } = store;
  const clickhouse = readingAs('jobs', replicas.clickhouse);
  await using requests = openRequestLog(kafka, names);
  await using probe = topicProbe(kafka, names.topic('job-requests'));
  let running: Lease | undefined;
  const checkLease = () => {
    if (!running) throw new Error('has not joined its group yet');
    running.check();
  };
  await using health = await openHealthServer({
    title: 'Job runner',
    port: config.JOBS_PORT,
    readiness: {
      kafka: probe.check,
      clickhouse: clickhouse.ping,
      lease: checkLease,
      partitions: partitions.checkKnown,
    },
    ...{ config, life, log },
  });
  await partitions.ready(stop);
  if (stop.aborted) return;
  const deps = { config, store, countedLog, requests, now: Date.now, log };
  const whenAsked = (onAppended: () => void) =>
    watchAppends(kafka, { topic: names.topic('job-requests'), onAppended, log });
  const work = ({ log: jobLog }: Term): AsyncDisposable => {
    const open = new AsyncDisposableStack();
    open.use(openConservationWatch({ ...deps, jobLog }));
    open.use(openJobs({ ...deps, jobLog, whenAsked }));
    open.use(openReplicaChecks({ ...deps, jobLog }));
    return open;
  };
  const runners = createRunnerStore(clickhouse, { timeoutMs: config.QUERY_TIMEOUT_MS });
  const term = {
    openLog: () => openJobLog(kafka, names),
    // Any node: whatever is read for writing is read in turns.
    runners: { latest: () => replicas.reading(runners.latest) },
    host: `${hostname()}:${new URL(health.url).port}`,
    now: Date.now,
  };
  // Who has the port is the only one of this name: the member it finds in the group is dead.
  await forgetFormerMember(kafka, names.jobRunner, { clientId, port: config.JOBS_PORT, log });
  await using lease = await retrying('join group', log, stop, () =>
    openLease({
      ...{ kafka, names, sessionTimeoutMs: config.JOBS_SESSION_TIMEOUT_MS },
      beginTerm: over => beginTerm(term, over),
      ...{ work, log, onCrash: crash },
    }),
  );
  running = lease;
  log.info({ url: health.url }, 'job runner runs');
  await Promise.race([aborted(stop), crashed]);
});
