/** `adclicks partitions`: over how many partitions clicks are spread, and more of them. */
import { Command } from 'commander';
import type { AnswerOf } from '../client/client.ts';
import { clientOf, exitCodes, type ServiceOptions, show, wholeNumber, withService } from './cli.ts';
import { type Style, shortTime } from './style.ts';
import { textPairs, textTable } from './text-table.ts';

interface PartitionsOptions extends ServiceOptions {
  readonly to?: number;
}

export function partitionsCommand(): Command {
  return withService(new Command('partitions'))
    .description('Over how many partitions clicks are spread, as recorded and as the topics have them.')
    .option(
      '--to <n>',
      'make them so many, from a minute to come on; they never become fewer again',
      wholeNumber(1, 1_024),
    )
    .addHelpText(
      'after',
      `
--to gives the topics quarantine, aggregates and clicks, in this order, more partitions and then announces from which
minute of event time on they are used. Clicks of earlier minutes stay where they are, whenever they come. Nothing has to
be stopped or started. If it is ended half way, or fails, the same command goes on.
Exit code 3: a topic has fewer or more partitions than is recorded.`,
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
    ['now', now === null ? 'nothing is recorded yet' : `${now} partitions`],
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
