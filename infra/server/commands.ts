/**
 * The programs of this release that run on servers, by the names under which `adclicks-server` starts them: where each of
 * them is, from the root on, and what it is for. The rooms are named here, and not imported.
 */
export const commands = {
  ingest: { program: 'ingest/main.ts', does: 'Takes clicks over HTTP and appends them to Kafka.' },
  aggregator: { program: 'aggregator/main.ts', does: 'Counts the clicks of its partitions, exactly once.' },
  sink: { program: 'aggregator/sink/main.ts', does: 'Writes counts, raw clicks and results of jobs into ClickHouse.' },
  'query-api': { program: 'query-api/main.ts', does: 'Answers queries over HTTP, and serves the dashboard.' },
  jobs: {
    program: 'query-api/jobs/main.ts',
    does: 'Runs replays and restatements, and compares the rows with the counters.',
  },
  setup: {
    program: 'infra/setup-main.ts',
    does: 'Creates topics and tables, then ends. Run it once before the processes of a release start.',
  },
  'check-replicas': {
    program: 'query-api/jobs/replicas/main.ts',
    does: 'Compares the ClickHouse nodes of each shard. The exit code is 1 if some differ, or if that cannot be determined.',
  },
  'write-off': {
    program: 'query-api/jobs/conservation/write-off-main.ts',
    does: 'Records that a difference between rows and counters is accepted for good, because nobody can repair it.',
  },
  keys: {
    program: 'infra/keys/keys-main.ts',
    does: 'Makes the first API key, straight in Kafka. All others are made with it: adclicks keys.',
  },
  feed: { program: 'ingest/feed/main.ts', does: 'Posts click logs to ingest.' },
} as const satisfies Record<string, { readonly program: string; readonly does: string }>;

export type CommandName = keyof typeof commands;

export function isCommand(name: string | undefined): name is CommandName {
  return name !== undefined && Object.hasOwn(commands, name);
}
