/**
 * The order of test files: those first that take long, so that none of them is still under way, alone, when all others are
 * done. A file that is not named here takes less than those that are.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const longest = [
  'hot-ads.test.ts',
  'erasure.test.ts',
  'invalid-rules.test.ts',
  'growth.test.ts',
  'faults.test.ts',
  'limits-at-once.test.ts',
  'clickhouse/jobs.test.ts',
  'replicas.test.ts',
  'over-shards.test.ts',
  'rollup.test.ts',
  'upgrade.test.ts',
  'integration/cluster.test.ts',
  'click-links.test.ts',
  'aggregator.test.ts',
  'conservation.test.ts',
  'clickhouse/tenants.test.ts',
  'cli.test.ts',
  'jobs-under-traffic.test.ts',
  'integration/pipeline.test.ts',
  'restatement.test.ts',
  'integration/keys.test.ts',
  'embedded/broker.test.ts',
  'npm-start.test.ts',
  'integration/shards.test.ts',
  'clickhouse/filters.test.ts',
  'quotas.test.ts',
  'members-in-a-cluster.test.ts',
  'same-ids.test.ts',
  'bombs.test.ts',
  'clickhouse/restated-at-once.test.ts',
  'reads-that-end.test.ts',
  'embedded/clickhouse.test.ts',
  'many-partitions.test.ts',
  'audit.test.ts',
  'quarantine-export.test.ts',
  'tutorial.test.ts',
  'job-log.test.ts',
  'replica-check.test.ts',
  'live-thousand.test.ts',
  'answers.test.ts',
  'exports.test.ts',
  // Not among the integration tests.
  'watchdog.test.ts',
  'slow-bodies.test.ts',
  'dashboard.test.ts',
  'freshness.test.ts',
  'simulation.test.ts',
  'core.test.ts',
  'partition-aggregator.test.ts',
  'rotation.test.ts',
  'client.test.ts',
  'laws.test.ts',
  'command-line.test.ts',
  'app.test.ts',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const found = longest.findIndex(name => moduleId.endsWith(`/${name}`));
      return found < 0 ? longest.length : found;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}
