/**
 * The order of test files: those first that take long, so that none of them is still under way, alone, when all others are
 * done. A file that is not named here takes less than those that are.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const longest = [
  'hot-ads.test.ts',
  'faults.test.ts',
  'growth.test.ts',
  'replicas.test.ts',
  'jobs.test.ts',
  'job-runners.test.ts',
  'tutorial.test.ts',
  'upgrade.test.ts',
  'pipeline.test.ts',
  'restatement.test.ts',
  'aggregator.test.ts',
  'members-in-a-cluster.test.ts',
  'conservation.test.ts',
  'over-shards.test.ts',
  'cli.test.ts',
  'reads-that-end.test.ts',
  'cluster.test.ts',
  'shards.test.ts',
  'npm-start.test.ts',
  'rollup.test.ts',
  'contract.test.ts',
  'job-log.test.ts',
  'broker.test.ts',
  // Not among the integration tests.
  'dashboard.test.ts',
  'freshness.test.ts',
  'simulation.test.ts',
  'core.test.ts',
  'rotation.test.ts',
  'client.test.ts',
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
