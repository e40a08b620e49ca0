/**
 * Runs `adclicks-server write-off --partition 3 --counted 5 --note '…'`: it writes off a difference between rows and
 * counters that a person has understood and nobody can mend. The write-off goes into the log, like everything that is
 * in ClickHouse, and stays forever. There is no HTTP route for it, so that only people with access to the brokers can
 * silence this alarm.
 */
import { randomInt } from 'node:crypto';
import { Type } from 'typebox';
import type { SealRow } from '../../../aggregator/job-records.ts';
import { openAuditLog } from '../../../infra/audit/audit-log.ts';
import { auditEntry } from '../../../infra/audit/audit-record.ts';
import { KafkaConfig, ProcessConfig } from '../../../infra/config.ts';
import { ConfigError } from '../../../infra/errors.ts';
import { partitionCount } from '../../../infra/kafka/admin.ts';
import { createKafka, type KafkaClient } from '../../../infra/kafka/client.ts';
import { operatorAtBroker } from '../../../infra/keys/key-record.ts';
import { reportFatal } from '../../../infra/process.ts';
import { beginProgram } from '../../../infra/program.ts';
import { type Names, names as namesOf } from '../../../infra/topics.ts';
import { openRequestLog } from '../../log/request-log.ts';

const outcomes = ['counted', 'duplicates', 'quarantined', 'missing', 'invalid'] as const;
type Given = Partial<Record<(typeof outcomes)[number] | 'partition' | 'note', string>>;

const settings = Type.Object({ ...KafkaConfig.properties, LOG_LEVEL: ProcessConfig.properties.LOG_LEVEL });
const { config, options, log } = await beginProgram<typeof settings, Given>('write-off', settings, {
  logLevel: 'warn',
  takes: command =>
    command
      .option('--partition <n>', 'partition of topic clicks')
      .option('--counted <n>', 'counted clicks that are missing as rows; less than 0 if there are too many rows')
      .option('--duplicates <n>', 'duplicates that are missing as rows')
      .option('--quarantined <n>', 'quarantined lines that are missing as rows')
      .option('--invalid <n>', 'invalid clicks that are missing as rows')
      .option('--missing <n>', 'acknowledged clicks that are not in the log')
      .option('--note <text>', 'the reason, for people who read it in some years'),
});

try {
  const row = writtenOff(options, Date.now());
  const asked = [createKafka(config, 'write-off', log), namesOf(config.TOPIC_PREFIX)] as const;
  await requirePartition(row.partition, ...asked);
  await using auditLog = openAuditLog(...asked);
  await auditLog.append(recordOf(row));
  await using requests = openRequestLog(...asked);
  await requests.append('seal', [{ ...row, logged: 1 }]);
  process.stdout.write(`written off: ${JSON.stringify(row)}\n`);
} catch (error) {
  process.exitCode = reportFatal(log, error);
}

/** A write-off for a partition that is not there would be a difference of its own. @throws ConfigError */
async function requirePartition(partition: number, kafka: KafkaClient, names: Names): Promise<void> {
  const topic = names.topic('clicks');
  const partitions = await partitionCount(kafka, topic);
  if (partition >= partitions)
    throw new ConfigError(`--partition ${partition}: must be a partition of topic ${topic}, 0 to ${partitions - 1}`);
}

/** Nothing is written off unless this is in the audit log. */
function recordOf({ at, partition, counted, duplicates, quarantined, missing = 0, ...more }: SealRow) {
  const { invalid = 0, note = '' } = more;
  const numbers = { partition, counted, duplicates, quarantined, missing, invalid };
  const parameters = Object.fromEntries(Object.entries({ ...numbers, note }).map(([name, of]) => [name, `${of}`]));
  const asker = { by: operatorAtBroker, name: '', subject: '', address: '' };
  return auditEntry({ ...asker, kind: 'act', action: 'adclicks-server write-off', parameters }, at);
}

function writtenOff(given: Given, now: number): SealRow {
  const partition = integer('partition', given.partition ?? '');
  if (partition < 0) throw new ConfigError(`--partition ${partition}: must be a partition of topic clicks, 0 or more`);
  const [counted = 0, duplicates = 0, quarantined = 0, missing = 0, invalid = 0] = outcomes.map(name =>
    integer(name, given[name] ?? '0'),
  );
  if ([counted, duplicates, quarantined, missing, invalid].every(n => n === 0))
    throw new ConfigError('nothing to write off: give --counted, --duplicates, --quarantined, --invalid or --missing');
  if (!given.note) throw new ConfigError('--note is not given, but must state the reason');
  // Of two rows with one number the later one would replace the other, and what that had closed would be open again. Two
  // write-offs of a partition may be made in one millisecond, so the number is no time.
  const number = randomInt(2 ** 48 - 1);
  const stretch = { source: 'accepted', partition, since: number, until: number } as const;
  return { ...stretch, counted, duplicates, quarantined, missing, invalid, note: given.note, at: now };
}

/** Negative numbers are allowed: there may be too many rows. */
function integer(name: string, given: string): number {
  const value = Number(given);
  if (given.trim() === '' || !Number.isSafeInteger(value))
    throw new ConfigError(`--${name} "${given}": must be a whole number`);
  return value;
}
