/**
 * Runs `adclicks-server check-replicas [--from TIME] [--to TIME]`: it compares the ClickHouse nodes of each shard once,
 * by default the last 24 hours. The exit code is 0 if all nodes are equal, and 1 if some differ or could not be
 * compared.
 */
import { millisecondsInDay } from 'date-fns/constants';
import { ConfigError } from '../../../infra/errors.ts';
import { createKafka } from '../../../infra/kafka/client.ts';
import { reportFatal } from '../../../infra/process.ts';
import { beginProgram } from '../../../infra/program.ts';
import { names } from '../../../infra/topics.ts';
import { followPartitions } from '../../../ingest/hot-ads/partition-record.ts';
import { hotAdTermsOf } from '../../../ingest/hot-ads/rule.ts';
import { followErasures } from '../../../ingest/privacy/follow-erasures.ts';
import { QueryApiConfig } from '../../config.ts';
import { openReplicas } from '../../replicas/open-replicas.ts';
import { hasReplicas } from '../../replicas/shard.ts';
import { replicaComparison } from './check-replicas.ts';

interface Given {
  readonly from?: string;
  readonly to?: string;
}

const { config, options, log } = await beginProgram<typeof QueryApiConfig, Given>('check-replicas', QueryApiConfig, {
  logLevel: 'warn',
  takes: command =>
    command
      .option(
        '--from <time>',
        'begin of the range to compare, such as 2025-11-22T08:00:00Z (default: 24 hours before its end)',
      )
      .option('--to <time>', 'end of the range to compare (default: now)'),
});
try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = reportFatal(log, error);
}

async function main(): Promise<number> {
  const to = timeOf('--to', options.to) ?? Date.now();
  const range = { from: timeOf('--from', options.from) ?? to - millisecondsInDay, to };
  if (range.from >= range.to) throw new ConfigError(`--from ${options.from}: must be before --to`);
  const asked = { kafka: createKafka(config, 'check-replicas', log), names: names(config.TOPIC_PREFIX) };
  await using record = followPartitions({ ...asked, terms: hotAdTermsOf(config), log });
  await using store = openReplicas({
    ...asked,
    config,
    limits: { readers: 1 },
    partitions: record,
    now: Date.now,
    log,
  });
  const { nodes, countedLog } = store;
  if (!hasReplicas(nodes))
    throw new ConfigError('CLICKHOUSE_URL names only one node of each shard, but must name several to compare');
  await using erasures = followErasures({ ...asked, log });
  await store.looked;
  const { differences, rows, buckets, unsettled } = await replicaComparison({
    nodes,
    countedLog,
    erasures,
    now: Date.now,
  })(range);
  for (const { table, hour, partition, found } of differences) {
    const each = [...found].map(([node, digest]) => `${node}: ${digest.rows} rows, ${digest.hash || '-'}`);
    const where = [hour === 0 ? '' : new Date(hour).toISOString(), partition < 0 ? '' : `partition ${partition}`];
    console.log(`DIFFERENT ${[table, ...where].filter(Boolean).join(' ')}: ${each.join('; ')}`);
  }
  const outcome = differences.length > 0 ? `${differences.length} differ` : 'all equal';
  console.log(
    `${nodes.map(({ name }) => name).join(', ')}: ${rows} rows in ${buckets} hours of partitions compared, ${outcome}` +
      (unsettled > 0 ? `, ${unsettled} still change: compare these again later` : ''),
  );
  return differences.length > 0 ? 1 : 0;
}

/** Epoch ms. */
function timeOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new ConfigError(`${option} ${text}: must be a time such as 2025-11-22T08:00:00Z`);
  return time;
}
