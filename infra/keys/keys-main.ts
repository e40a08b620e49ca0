/**
 * `adclicks-server keys create --scope admin` writes a new API key straight into Kafka, without needing a key. So whoever
 * has access to the brokers makes the first key. All further keys are made with that one (`adclicks keys`). Standard
 * output gets only the key, and standard error what is said about it.
 */
import { Type } from 'typebox';
import { openAuditLog } from '../audit/audit-log.ts';
import { auditEntry } from '../audit/audit-record.ts';
import { brokenRule } from '../broken-rule.ts';
import { KafkaConfig, ProcessConfig } from '../config.ts';
import { ConfigError } from '../errors.ts';
import { partitionCount } from '../kafka/admin.ts';
import { createKafka, type KafkaClient } from '../kafka/client.ts';
import { reportFatal } from '../process.ts';
import { beginProgram } from '../program.ts';
import { type OwnQuotas, quotaNames } from '../quotas/quotas.ts';
import { type Names, names as namesOf } from '../topics.ts';
import { tenantsIn } from './key-book.ts';
import { type FollowedKeys, followKeys } from './key-follower.ts';
import { type KeyLog, openKeyLog } from './key-log.ts';
import { adsIn, quotasWith } from './key-options.ts';
import { operatorAtBroker } from './key-record.ts';
import { type BrokenKeyRule, brokenKeyRule, createdKey, type MadeKey, voidMark, type WantedKey } from './new-key.ts';
import { scopeNames } from './scopes.ts';
import type { Tenant } from './tenant.ts';

interface Given {
  readonly label: string;
  readonly scope: readonly string[];
  readonly expiresInDays?: string;
  readonly tenant?: string;
  readonly adIdPrefix?: readonly string[];
  readonly origin?: readonly string[];
  readonly quota?: OwnQuotas;
  readonly region?: string;
}

const optionOf = {
  label: '--label',
  scopes: '--scope',
  expires_at: '--expires-in-days',
  ad_id_prefix: '--ad-id-prefix',
  quotas: '--quota',
  origins: '--origin',
  region: '--region',
  tenant: '--tenant',
  'tenant.id': '--tenant',
  'tenant.ad_id_prefixes': '--ad-id-prefix',
} as const satisfies Record<BrokenKeyRule['field'], string>;

const readWithinMs = 30_000;
const doer = { by: operatorAtBroker };
const settings = Type.Object({ ...KafkaConfig.properties, LOG_LEVEL: ProcessConfig.properties.LOG_LEVEL });
let action = '';
// Containers set it for all programs, and logs go where the key goes.
process.env['LOG_LEVEL'] = 'warn';
const { config, options, log } = await beginProgram<typeof settings, Given>('keys', settings, {
  logLevel: 'warn',
  takes: command =>
    command
      .argument('<action>', 'create')
      .option('--label <text>', 'what it is for', 'first key')
      .option('--scope <scopes...>', `one or several of ${scopeNames.join(', ')}`, [])
      .option('--expires-in-days <n>', 'until when it is valid (default: until it is revoked)')
      .option('--tenant <id>', 'for the ads of this tenant alone; needs --ad-id-prefix')
      .option(
        '--ad-id-prefix <prefix...>',
        'only ads whose id begins so: of a tenant (one or several), or with scope ingest or ingest:public alone (one)',
      )
      .option('--origin <origins...>', 'with scope ingest:public: the sites whose pages may use it')
      .option('--quota <name=n...>', `${quotaNames.join(', ')}; 0: no limit`, quotasWith)
      .option('--region <region>', 'good only where processes are in this region (REGION)')
      .action((asked: string) => {
        action = asked;
      }),
});

try {
  if (action !== 'create')
    throw new ConfigError(
      `${brokenRule('the action', action, 'must be create')}: adclicks keys lists, rotates and revokes, with a key of scope admin`,
    );
  const now = Date.now();
  const wanted = wantedOf(options, now);
  requireRules(wanted, now);
  const kafka = createKafka(config, 'keys', log);
  const names = namesOf(config.TOPIC_PREFIX);
  await partitionCount(kafka, names.topic('keys'));
  // Only keys of tenants can be void because of others.
  await using keys = wanted.tenant && (await keysAt(kafka, names));
  if (keys) requireRules(wanted, now, tenantsIn(keys.book.list(), now));
  const made = createdKey(wanted, doer, now);
  const { text, change } = made;
  await using auditLog = openAuditLog(kafka, names);
  await auditLog.append(createdAtBroker(wanted, change.id, now));
  await using keyLog = openKeyLog(kafka, names);
  await keyLog.append(change);
  if (keys) await requireMade(made, keys, keyLog);
  process.stderr.write(`API key ${change.id} (${wanted.scopes.join(', ')}); it is shown only now:\n`);
  process.stdout.write(`${text}\n`);
} catch (error) {
  process.exitCode = reportFatal(log, error);
}

/** @throws ConfigError */
function requireRules(wanted: WantedKey, now: number, tenants: readonly Tenant[] = []): void {
  const broken = brokenKeyRule(wanted, now, tenants);
  if (broken) throw new ConfigError(brokenRule(optionOf[broken.field], broken.value, broken.rule, broken.advice));
}

/** All that there are, so that no ad gets two owners. @throws ConfigError */
async function keysAt(kafka: KafkaClient, names: Names): Promise<FollowedKeys> {
  const keys = followKeys({ kafka, names, log });
  await keys.ready(AbortSignal.timeout(readWithinMs));
  const refusal = keys.refusal();
  if (refusal === undefined) return keys;
  await keys[Symbol.asyncDispose]();
  throw new ConfigError(`topic keys was not read within ${readWithinMs} ms: ${refusal}`);
}

/** Somebody may have made another key in the same moment, and then the order of the log decides. @throws ConfigError */
async function requireMade(made: MadeKey, keys: FollowedKeys, keyLog: KeyLog): Promise<void> {
  await keys.readToEnd();
  const fate = keys.book.fateOf(made.change);
  if (fate === 'holds') return;
  await keyLog.append(voidMark(made, doer, Date.now()));
  const other = fate?.why === 'ads' ? `: a key for tenant ${fate.other} with ${fate.prefix} came first` : '';
  throw new ConfigError(`no key was made, because somebody has made another one in the same moment${other}`);
}

/** The key is not made unless this is in the audit log. */
function createdAtBroker({ label, scopes, tenant, region }: WantedKey, id: string, now: number) {
  const asker = { by: operatorAtBroker, name: '', subject: '', address: '' };
  const parameters = {
    ...{ id, label, scopes: scopes.join(',') },
    ...(tenant && { tenant: tenant.id }),
    ...(region !== undefined && { region }),
  };
  return auditEntry({ ...asker, kind: 'act', action: 'adclicks-server keys create', parameters }, now);
}

function wantedOf(given: Given, now: number): WantedKey {
  const { label, scope, expiresInDays, tenant, adIdPrefix, origin, quota, region } = given;
  const days = expiresInDays === undefined ? undefined : Number(expiresInDays);
  if (days !== undefined && !(Number.isInteger(days) && days >= 1 && days <= 3_650))
    throw new ConfigError(brokenRule('--expires-in-days', expiresInDays, 'must be a whole number from 1 to 3650'));
  return {
    label,
    scopes: scope,
    ...adsIn(tenant, adIdPrefix),
    ...{ origins: origin, quotas: quota, region },
    expiresAt: days === undefined ? undefined : now + days * 86_400_000,
  };
}
