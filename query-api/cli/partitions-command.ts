/** `adclicks partitions` shows over how many partitions clicks are spread, and adds more of them. */
import { Command } from 'commander';
import type { AnswerOf } from '../client/client.ts';
import { clientOf, exitCodes, type ServiceOptions, show, wholeNumber, withService } from './cli.ts';
import { counted, type Style, shortTime } from './style.ts';
import { textPairs, textTable } from './text-table.ts';

interface PartitionsOptions extends ServiceOptions {
  readonly to?: number;
}

export function partitionsCommand(): Command {
  return withService(new Command('partitions'))
    .description('Shows over how many partitions clicks are spread: the recorded number, and that of each topic.')
    .option(
      '--to <n>',
      'spread clicks over this many partitions, from a minute in the near future on; the number can never become smaller',
      wholeNumber(1, 1_024),
    )
    .addHelpText(
      'after',
      `
--to first gives the topics quarantine, aggregates and clicks more partitions, in this order. Then it announces from which
minute of event time on the new partitions are used. Clicks of earlier minutes keep their partitions, whenever they arrive.
No process has to be stopped or started. If the command is interrupted or fails, run it again: it continues.
Exit code 3: a topic has fewer or more partitions than recorded.`,
    )
    .action(async (given: PartitionsOptions) => {
      const client = clientOf(given);
      const answer =
        given.to === undefined
          ? await client.ask('getPartitions')
          : await client.ask('growPartitions', { body: { partitions: given.to } }, { isIdempotent: true });
      show(answer, given, partitionsText);
      if (answer.difference !== null) process.exitCode = exitCodes.differs;
    });
}

/** Pure. */
export function partitionsText({ now, recorded, topics, difference }: AnswerOf<'getPartitions'>, style: Style): string {
  const head = textPairs([
    ['now', now === null ? 'nothing is recorded yet' : counted(now, 'partition')],
    ...recorded.map(({ from, partitions }): [string, string] => [
      from === null ? 'recorded' : 'grown',
      from === null ? `${partitions} from the beginning` : `${partitions} from ${shortTime(from)} (event time)`,
    ]),
    ['topics', difference === null ? style.good('agree') : style.bad(difference)],
  ]);
  const table = textTable(
    [{ title: 'topic' }, { title: 'partitions', isNumber: true }],
    topics.map(({ topic, partitions }) => [topic, `${partitions}`]),
  );
  return `${head}\n${table}`;
}
