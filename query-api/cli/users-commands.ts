/** `adclicks users erase` and `export`: erases persons, and prints what is kept of one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { ConfigError } from '../../infra/errors.ts';
import type { AnswerOf } from '../client/client.ts';
import { clientOf, exitCodes, type ServiceOptions, show, withService } from './cli.ts';
import type { Style } from './style.ts';

type Erasure = AnswerOf<'getErasure'>;

export function usersCommand(): Command {
  return new Command('users')
    .description(
      'Erase persons, or export what is kept of one. This needs a key with the scopes that each command names.',
    )
    .addCommand(eraseCommand())
    .addCommand(exportCommand())
    .addCommand(erasureCommand());
}

interface EraseOptions extends ServiceOptions {
  readonly stdin: boolean;
  readonly wait: boolean;
}

function eraseCommand(): Command {
  return withService(new Command('erase'))
    .description(
      'Erase persons from all clicks and quarantined lines, for good. Counts and unique users stay. Scopes: operate and read:personal.',
    )
    .argument('[user_id...]', 'plain ids of the users')
    .option(
      '--stdin',
      'read the ids from standard input, one in each line, so that they are in no list of processes',
      false,
    )
    .option('--wait', 'wait until every ClickHouse node has done it', false)
    .action(async (given: readonly string[], options: EraseOptions) => {
      const userIds = options.stdin ? [...given, ...linesOf(await textOf(process.stdin))] : given;
      if (userIds.length === 0) throw new ConfigError('user_id: must be given, or read with --stdin');
      const client = clientOf(options);
      const erasures: Erasure[] = [];
      for (let i = 0; i < userIds.length; i += personsAtOnce) {
        const body = { user_ids: userIds.slice(i, i + personsAtOnce) };
        let erasure: Erasure = await client.ask('eraseUsers', { body });
        while (options.wait && erasure.state === 'running' && !waitsForSomebody(erasure)) {
          await sleep(pollMs);
          erasure = await client.ask('getErasure', { params: { id: erasure.id } });
        }
        erasures.push(erasure);
      }
      show({ erasures }, options, erasuresText);
      if (erasures.some(erasure => erasure.state === 'incomplete' || namedIn(erasure).length > 0))
        process.exitCode = exitCodes.failed;
    });
}

function erasureCommand(): Command {
  return withService(new Command('erasure'))
    .description('Show how far an erasure is. Scope: operate.')
    .argument('<id>', 'id of the erasure')
    .action(async (id: string, options: ServiceOptions) => {
      const erasure = await clientOf(options).ask('getErasure', { params: { id } });
      show({ erasures: [erasure] }, options, erasuresText);
    });
}

function exportCommand(): Command {
  return withService(new Command('export'))
    .description('Print all that is kept of a person as JSON, one object a line. Scope: read:personal.')
    .argument('<user_id>', 'plain id of the user')
    .action(async (userId: string, options: ServiceOptions) => {
      let isWhole = false;
      for await (const line of clientOf(options).lines('exportUser', { params: { user_id: userId } })) {
        process.stdout.write(`${JSON.stringify(line)}\n`);
        isWhole = line.kind === 'end';
      }
      if (!isWhole) throw new Error('the export was cut off');
    });
}

/** A release before this one does not say it. */
function namedIn({ filters }: Erasure): readonly string[] {
  return filters ?? [];
}

/** The nodes have done it, and a filter is still to be replaced. */
function waitsForSomebody(erasure: Erasure): boolean {
  return erasure.nodes.every(({ state }) => state === 'done') && namedIn(erasure).length > 0;
}

/** Pure. */
export function erasuresText({ erasures }: { readonly erasures: readonly Erasure[] }, style: Style): string {
  return erasures
    .map(erasure => {
      const { id, state, persons, nodes, log } = erasure;
      const named = namedIn(erasure).map(
        filter => `\n  ${style.bad(`filter ${filter} names one of them: replace or delete it`)}`,
      );
      const left = nodes.filter(node => node.state !== 'done').map(node => `${node.node} (${node.state})`);
      const states = { done: style.good('done'), running: 'running', incomplete: style.bad('incomplete: ask again') };
      const waiting = left.length === 0 ? '' : `\n  waits for ${left.join(', ')}`;
      const kept = log.map(
        ({ topic, kept_until }) => `\n  topic ${topic} has it until ${kept_until ?? 'somebody removes it'}`,
      );
      return `${id}: ${persons} ${persons === 1 ? 'person' : 'persons'}, ${states[state]}${waiting}${named.join('')}${kept.join('')}\n`;
    })
    .join('');
}

function linesOf(text: string): string[] {
  return text.split('\n').filter(line => line !== '');
}

async function textOf(input: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const piece of input) text += String(piece);
  return text;
}

const personsAtOnce = 1_000;
const pollMs = 1_000;
