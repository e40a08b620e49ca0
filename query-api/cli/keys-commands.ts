/** `adclicks keys create`, `list`, `rotate`, `quotas`, `revoke`: manages API keys, with a key of scope admin. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { messageOf } from '../../infra/errors.ts';
import { adsIn, quotasWith } from '../../infra/keys/key-options.ts';
import { scopeNames, scopes } from '../../infra/keys/scopes.ts';
import { type OwnQuotas, quotaNames } from '../../infra/quotas/quotas.ts';
import type { AnswerOf } from '../client/client.ts';
import { clientOf, type ServiceOptions, show, timeOf, wholeNumber, withService } from './cli.ts';
import { printed } from './printed.ts';
import { type Style, shortTime } from './style.ts';
import { textTable } from './text-table.ts';

export function keysCommand(): Command {
  return new Command('keys')
    .description('Make, list, rotate, limit and revoke API keys. This needs a key of scope admin in ADCLICKS_API_KEY.')
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
    .addCommand(quotasCommand())
    .addCommand(revokeCommand());
}

interface CreateOptions extends ServiceOptions {
  readonly label: string;
  readonly scope: (typeof scopeNames)[number][];
  readonly expiresAt?: string;
  readonly quota?: OwnQuotas;
  readonly adIdPrefix?: readonly string[];
  readonly tenant?: string;
  readonly origin?: string[];
  readonly region?: string;
}

function createCommand(): Command {
  return withService(new Command('create'))
    .description('Make a key. It is shown once, on standard output alone.')
    .requiredOption('--label <text>', 'what it is for, and who has it')
    .addOption(new Option('--scope <scopes...>', 'what its holder may do').choices(scopeNames).makeOptionMandatory())
    .option('--expires-at <time>', 'until when it is valid: RFC 3339 (default: until it is revoked)', timeOf)
    .option(
      '--tenant <id>',
      'the key is for the ads of this tenant alone, to post and to read; needs --ad-id-prefix, and scopes among ingest, read, read:personal',
    )
    .option(
      '--ad-id-prefix <prefix...>',
      'only ads whose id begins so: of a tenant (one or several), or with scope ingest or ingest:public alone (one)',
    )
    .option(
      '--origin <origins...>',
      'with scope ingest:public: the sites whose pages may use it (https://shop.example)',
    )
    .option('--region <region>', 'the key is good only where processes are in this region (REGION)')
    .addOption(quotaOption())
    .action(async (given: CreateOptions) => {
      const { label, scope, expiresAt: expires_at, quota: quotas, origin: origins, region } = given;
      const body = { label, scopes: scope, expires_at, quotas, origins, region, ...adsOf(given) };
      showOnce(await clientOf(given).ask('createKey', { body }), given);
    });
}

/** @throws ConfigError */
function adsOf({ tenant: id, adIdPrefix }: Pick<CreateOptions, 'tenant' | 'adIdPrefix'>) {
  const { tenant, adIdPrefix: ad_id_prefix } = adsIn(id, adIdPrefix);
  return { ad_id_prefix, ...(tenant && { tenant: { id: tenant.id, ad_id_prefixes: [...tenant.adIdPrefixes] } }) };
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

function quotasCommand(): Command {
  return withService(new Command('quotas'))
    .description(
      'Give a key quotas of its own, in place of all that it has. Without --quota: those of the settings again.',
    )
    .argument('<id>', 'of the key')
    .addOption(quotaOption())
    .action(async (id: string, given: ServiceOptions & { readonly quota?: OwnQuotas }) => {
      const key = await clientOf(given).ask('setKeyQuotas', { params: { id }, body: given.quota ?? {} });
      show(key, given, answer => `key ${answer.id} (${answer.label}): ${quotasText(answer.quotas)}\n`);
    });
}

function quotaOption(): Option {
  return new Option('--quota <name=n...>', `${quotaNames.join(', ')}; 0: no limit`).argParser(
    (text: string, before?: OwnQuotas) => quotasOf(text, before),
  );
}

function quotasOf(text: string, before?: OwnQuotas): OwnQuotas {
  try {
    return quotasWith(text, before);
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}

function quotasText(quotas: OwnQuotas): string {
  return (
    quotaNames
      .filter(name => quotas[name] !== undefined)
      .map(name => `${name}=${quotas[name]}`)
      .join(' ') || 'those of the settings'
  );
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
      { title: 'region' },
      { title: 'quotas' },
      { title: 'made' },
      { title: 'by' },
      { title: 'expires' },
      { title: 'label' },
    ],
    keys.map(
      ({ id, state, scopes: held, ad_id_prefix, tenant, origins, quotas, region, changes, expires_at, label }) => [
        id,
        state === 'usable' ? style.good(state) : style.bad(state),
        held.join(', '),
        adsText({ ad_id_prefix, tenant, origins }),
        region ?? 'any',
        quotasText(quotas),
        changes[0] ? shortTime(changes[0].at) : '',
        changes[0]?.by ?? '',
        expires_at === null ? 'never' : shortTime(expires_at),
        printed(label),
      ],
    ),
  );
}

type KeysAds = Pick<AnswerOf<'listKeys'>['keys'][number], 'ad_id_prefix' | 'tenant' | 'origins'>;

function adsText({ ad_id_prefix, tenant, origins }: KeysAds): string {
  if (tenant) return `${tenant.id}: ${tenant.ad_id_prefixes.map(prefix => `${prefix}…`).join(', ')}`;
  return `${ad_id_prefix === null ? 'all' : `${ad_id_prefix}…`}${origins ? ` from ${origins.join(', ')}` : ''}`;
}
