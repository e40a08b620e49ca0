/**
 * `npm run write-off -- --partition 3 --counted 5 --note '…'`: writes off, for ever and in writing, a difference between rows
 * and counters that a person has looked into and nobody can mend. It goes into the log, as all that stands in ClickHouse.
 * There is no route for it: who may silence an alarm of the books is who has the brokers.
 */
import { parseArgs } from 'node:util';
import type { SealRow } from '../../../aggregator/job-records.ts';
import { KafkaConfig, loadConfig } from '../../../infra/config.ts';
import { ConfigError } from '../../../infra/errors.ts';
import { createKafka } from '../../../infra/kafka/client.ts';
import { createLog } from '../../../infra/log.ts';
import { reportFatal } from '../../../infra/process.ts';
import { names as namesOf } from '../../../infra/topics.ts';
import { openRequestLog } from '../../log/request-log.ts';

const log = createLog('write-off', process.env['LOG_LEVEL'] || 'warn');
const outcomes = ['counted', 'duplicates', 'quarantined', 'missing'] as const;

try {
  const row = writtenOff(process.argv.slice(2), Date.now());
  const config = loadConfig(KafkaConfig);
  await using requests = openRequestLog(createKafka(config, 'write-off', log), namesOf(config.TOPIC_PREFIX));
  await requests.append('seal', [{ ...row, logged: 1 }]);
  process.stdout.write(`written off: ${JSON.stringify(row)}\n`);
} catch (error) {
  process.exitCode = reportFatal(log, error);
}

function writtenOff(args: readonly string[], now: number): SealRow {
  const given = parse(args);
  const partition = integer('partition', given.partition ?? '');
  if (partition < 0 || partition > 65_535)
    throw new ConfigError(`--partition ${partition}: must be a partition of topic clicks, 0 to 65535`);
  const [counted = 0, duplicates = 0, quarantined = 0, missing = 0] = outcomes.map(name =>
    integer(name, given[name] ?? '0'),
  );
  if ([counted, duplicates, quarantined, missing].every(n => n === 0))
    throw new ConfigError('nothing is written off: give --counted, --duplicates, --quarantined or --missing');
  if (!given.note) throw new ConfigError('--note: must say why, to who reads it in years');
  const stretch = { source: 'accepted', partition, since: now, until: now } as const;
  return { ...stretch, counted, duplicates, quarantined, missing, note: given.note, at: now };
}

function parse(args: readonly string[]) {
  const type = 'string' as const;
  const options = {
    ...{ partition: { type }, counted: { type }, duplicates: { type } },
    ...{ quarantined: { type }, missing: { type }, note: { type } },
  };
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** Less than nothing where rows are there once too often. */
function integer(name: string, given: string): number {
  const value = Number(given);
  if (given.trim() === '' || !Number.isSafeInteger(value))
    throw new ConfigError(`--${name} "${given}": must be a whole number`);
  return value;
}
