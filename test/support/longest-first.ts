/**
 * The order of test files: those first that take long, so that none of them is still under way, alone, when all others are
 * done. A file that is not named here takes less than those that are.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const longest = [
  'hot-ads.test.ts',
  'growth.test.ts',
  'faults.test.ts',
  'replicas.test.ts',
  'jobs.test.ts',
  'bombs.test.ts',
  'aggregator.test.ts',
  'cli.test.ts',
  'job-runners.test.ts',
  'upgrade.test.ts',
  'over-shards.test.ts',
  'click-links.test.ts',
  'conservation.test.ts',
  'job-log.test.ts',
  'npm-start.test.ts',
  'restatement.test.ts',
  'reads-that-end.test.ts',
  'rollup.test.ts',
  'jobs-under-traffic.test.ts',
  'cluster.test.ts',
  'embedded/broker.test.ts',
  'many-partitions.test.ts',
  'filters.test.ts',
  'tutorial.test.ts',
  'members-in-a-cluster.test.ts',
  'restated-at-once.test.ts',
  'pipeline.test.ts',
  'shards.test.ts',
  'same-ids.test.ts',
  'quotas.test.ts',
  'audit.test.ts',
  'keys.test.ts',
  'quarantine-export.test.ts',
  'drain.test.ts',
  'embedded/clickhouse.test.ts',
  'exports.test.ts',
  'answers.test.ts',
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
