/** `adclicks keys create`, `list`, `rotate`, `revoke`: manages API keys, with a key of scope admin. */
import { Command, Option } from 'commander';
import { scopeNames, scopes } from '../../infra/keys/scopes.ts';
import type { AnswerOf } from '../client/client.ts';
import { clientOf, type ServiceOptions, show, timeOf, wholeNumber, withService } from './cli.ts';
import { printed } from './printed.ts';
import { type Style, shortTime } from './style.ts';
import { textTable } from './text-table.ts';

export function keysCommand(): Command {
  return new Command('keys')
    .description('Make, list, rotate and revoke API keys. This needs a key of scope admin in ADCLICKS_API_KEY.')
    .addHelpText(
      'after',
      `
The first key of all is made where the brokers are: adclicks-server keys create --scope admin

Scopes:
${Object.entries(scopes)
  .map(([name, lets]) => `  ${name.padEnd(14)} ${lets}`)
  .join('\n')}`,
    )
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(rotateCommand())
    .addCommand(revokeCommand());
}

interface CreateOptions extends ServiceOptions {
  readonly label: string;
  readonly scope: (typeof scopeNames)[number][];
  readonly expiresAt?: string;
  readonly adIdPrefix?: string;
  readonly origin?: string[];
}

function createCommand(): Command {
  return withService(new Command('create'))
    .description('Make a key. It is shown once, on standard output alone.')
    .requiredOption('--label <text>', 'what it is for, and who has it')
    .addOption(new Option('--scope <scopes...>', 'what its holder may do').choices(scopeNames).makeOptionMandatory())
    .option('--expires-at <time>', 'until when it is valid: RFC 3339 (default: until it is revoked)', timeOf)
    .option('--ad-id-prefix <prefix>', 'with scope ingest or ingest:public: only ads whose id begins so')
    .option(
      '--origin <origins...>',
      'with scope ingest:public: the sites whose pages may use it (https://shop.example)',
    )
    .action(async (given: CreateOptions) => {
      const { label, scope, expiresAt: expires_at, adIdPrefix: ad_id_prefix, origin: origins } = given;
      const body = { label, scopes: scope, expires_at, ad_id_prefix, origins };
      showOnce(await clientOf(given).ask('createKey', { body }), given);
    });
}

function listCommand(): Command {
  return withService(new Command('list'))
    .description('List all keys, the newest first, without their secrets.')
    .option('--limit <n>', 'keys to show', wholeNumber(1, 10_000), 100)
    .action(async (given: ServiceOptions & { readonly limit: number }) => {
      const client = clientOf(given);
      const keys: AnswerOf<'listKeys'>['keys'][number][] = [];
      let cursor: string | undefined;
      do {
        const page = await client.ask('listKeys', {
          query: { limit: Math.min(200, given.limit - keys.length), cursor },
        });
        keys.push(...page.keys);
        cursor = page.next_cursor ?? undefined;
      } while (cursor !== undefined && keys.length < given.limit);
      show({ keys }, given, keysText);
    });
}

function rotateCommand(): Command {
  return withService(new Command('rotate'))
    .description('Give a key another secret, which is shown once. The present one stays valid for a while.')
    .argument('<id>', 'of the key')
    .option(
      '--overlap <s>',
      'seconds for which the present secret stays valid; 0: it has leaked',
      wholeNumber(0, 30 * 86_400),
      3_600,
    )
    .action(async (id: string, given: ServiceOptions & { readonly overlap: number }) => {
      const body = { overlap_s: given.overlap };
      showOnce(await clientOf(given).ask('rotateKey', { params: { id }, body }), given);
    });
}

function revokeCommand(): Command {
  return withService(new Command('revoke'))
    .description('End a key for good, everywhere within two seconds.')
    .argument('<id>', 'of the key')
    .action(async (id: string, given: ServiceOptions) => {
      const key = await clientOf(given).ask('revokeKey', { params: { id } });
      show(key, given, answer => `key ${answer.id} (${answer.label}) is revoked\n`);
    });
}

/** The key alone on standard output, so that it can go into a variable or a file. */
function showOnce(answer: AnswerOf<'createKey'>, given: ServiceOptions): void {
  const { id, label, scopes: held } = answer;
  if (!given.json) process.stderr.write(`key ${id} (${label}: ${held.join(', ')}); it is shown only now:\n`);
  show(answer, given, ({ api_key }) => `${api_key}\n`);
}

/** Pure. */
export function keysText({ keys }: Pick<AnswerOf<'listKeys'>, 'keys'>, style: Style): string {
  if (keys.length === 0) return 'there are no keys\n';
  return textTable(
    [
      { title: 'id' },
      { title: 'state' },
      { title: 'scopes' },
      { title: 'ads' },
      { title: 'made' },
      { title: 'by' },
      { title: 'expires' },
      { title: 'label' },
    ],
    keys.map(({ id, state, scopes: held, ad_id_prefix, origins, changes, expires_at, label }) => [
      id,
      state === 'usable' ? style.good(state) : style.bad(state),
      held.join(', '),
      `${ad_id_prefix === null ? 'all' : `${ad_id_prefix}…`}${origins ? ` from ${origins.join(', ')}` : ''}`,
      changes[0] ? shortTime(changes[0].at) : '',
      changes[0]?.by ?? '',
      expires_at === null ? 'never' : shortTime(expires_at),
      printed(label),
    ]),
  );
}
