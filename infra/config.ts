/**
 * Loads configuration: each room has one TypeBox schema whose keys are environment variables. Type, default, bounds and
 * documentation are in that one object. README's table and `npm start -- --help` are compared with it.
 */
import { type Static, type TObject, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { explained, ruleOf } from './broken-rule.ts';
import { ConfigError } from './errors.ts';

/**
 * Reads the schema's keys from `env`. An unset or empty variable takes its default. @throws ConfigError naming
 * variable, value and rule
 */
export function loadConfig<T extends TObject>(schema: T, env: NodeJS.ProcessEnv = process.env): Static<T> {
  const config: Record<string, unknown> = {};
  for (const [key, property] of Object.entries<TSchema & { default?: unknown }>(schema.properties)) {
    const text = env[key];
    config[key] = text === undefined || text === '' ? property.default : fromText(text, property);
  }
  const first = Value.Errors(schema, config)[0];
  if (first === undefined) return config as Static<T>;
  const key = first.instancePath.slice(1);
  const rule = ruleOf(first, choicesOf(schema.properties[key]));
  if (key === '') throw new ConfigError(`configuration: ${rule}`);
  const shown = isSecret(key) ? '***' : JSON.stringify(withoutUserInfo(env[key] ?? null));
  throw new ConfigError(`${key}=${shown}: ${rule}`);
}

/** Returns the configuration as it may be logged, with secrets masked. */
export function printable(config: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key, isSecret(key) && value ? '***' : withoutUserInfo(value)]),
  );
}

/** Removes user and password from a URL. */
export function withoutUserInfo<T>(value: T): T | string {
  return typeof value === 'string' ? value.replace(/(\/\/)[^/\s]*@/g, '$1***@') : value;
}

/** The settings of every process that uses Kafka. */
export const KafkaConfig = Type.Object({
  KAFKA_BROKERS: Type.String({
    default: '127.0.0.1:9092',
    pattern: explained(/^[^,:\s]+:\d+(,[^,:\s]+:\d+)*$/, 'host:port, or several of them separated by commas').source,
    description:
      'Kafka bootstrap brokers, `host:port[,host:port…]`. If it is set, `npm start` uses that cluster and starts no broker',
  }),
  KAFKA_TLS: Type.Boolean({
    default: false,
    description: 'whether to connect to Kafka with TLS (with the CAs of the system)',
  }),
  KAFKA_SASL_MECHANISM: Type.Union(
    [Type.Literal('none'), Type.Literal('plain'), Type.Literal('scram-sha-256'), Type.Literal('scram-sha-512')],
    { default: 'none', description: 'SASL mechanism: `none`, `plain`, `scram-sha-256`, `scram-sha-512`' },
  ),
  KAFKA_USERNAME: Type.String({ default: '', description: 'SASL user name' }),
  KAFKA_PASSWORD: Type.String({ default: '', description: 'SASL password (secret, never logged)' }),
  TOPIC_PREFIX: Type.String({
    default: '',
    pattern: explained(/^[A-Za-z0-9._-]{0,64}$/, 'up to 64 of A-Z a-z 0-9 . _ -').source,
    description:
      'prefix of all topics, consumer groups and transactional ids, so that several pipelines can share one cluster',
  }),
});
export type KafkaConfig = Static<typeof KafkaConfig>;

/** The settings of every process that uses ClickHouse. */
export const ClickHouseConfig = Type.Object({
  CLICKHOUSE_URL: Type.String({
    default: 'http://127.0.0.1:8123',
    minLength: 1,
    description:
      'the ClickHouse server, `http(s)://host:port`, or several: replicas of a shard are separated by commas, and shards by semicolons. `?tcp=port` or `?tcp=host:port` says where the other nodes reach a node (default: port 9000, with TLS 9440). It may also be `file:///…/topology.json` (see infra/clickhouse/README.md). If it is set, `npm start` uses that server, which must be a single one',
  }),
  CLICKHOUSE_USER: Type.String({ default: 'default', description: 'ClickHouse user' }),
  CLICKHOUSE_PASSWORD: Type.String({ default: '', description: 'ClickHouse password (secret, never logged)' }),
  CLICKHOUSE_DATABASE: Type.String({
    default: 'default',
    pattern: explained(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, '1 to 64 of A-Z a-z 0-9 _, and must not begin with a digit')
      .source,
    description: 'ClickHouse database',
  }),
  CLICKHOUSE_TABLE_ENGINE: Type.String({
    default: '',
    maxLength: 500,
    description:
      "the table engine for servers that keep replicas themselves: `Replicated` or `Shared`, alone or with path and replica, as in `Replicated('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')` (see infra/clickhouse/README.md). All processes must have the same value",
  }),
  CLICKHOUSE_CLUSTER: Type.String({
    default: '',
    maxLength: 128,
    description:
      'with CLICKHOUSE_TABLE_ENGINE: the cluster on all of whose servers the tables are created (`ON CLUSTER`). Leave it empty if the database has the `Replicated` engine, and for the cloud service',
  }),
});
export type ClickHouseConfig = Static<typeof ClickHouseConfig>;

/** The settings of every process. */
export const ProcessConfig = Type.Object({
  HOST: Type.String({ default: '127.0.0.1', description: 'the address on which the HTTP servers listen' }),
  ALLOWED_HOSTS: Type.String({
    default: '',
    description:
      'names that the `Host` header of a request may have, in addition to the loopback names, `HOST` and the address at which the request arrives. They are separated by commas and have no ports; `.example.com` stands for all names below it, and `*` for every name. A request with another name gets 421. `/healthz`, `/readyz` and `/metrics` are answered under every name',
  }),
  MAX_CONNECTIONS: Type.Integer({
    default: 10_000,
    minimum: 10,
    maximum: 1_000_000,
    description:
      'connections that a server may have open. When it comes near this number, it closes idle ones; a connection above it gets 503',
  }),
  MAX_CONNECTIONS_PER_CLIENT: Type.Integer({
    default: 2_000,
    minimum: 1,
    maximum: 1_000_000,
    description:
      'connections that one client address may have open (IPv6: a /64). A connection above this number gets 429. Connections of trusted proxies are not counted',
  }),
  LOG_LEVEL: Type.Union(
    ['debug', 'info', 'warn', 'error'].map(level => Type.Literal(level)),
    { default: 'info', description: '`debug`, `info`, `warn` or `error`' },
  ),
  EVENT_LOOP_STALL_MS: Type.Integer({
    default: 10_000,
    minimum: 1_000,
    maximum: 86_400_000,
    description:
      'milliseconds for which the event loop may stand still. After that, the watchdog ends the process (SIGALRM, exit code 142)',
  }),
  DRAIN_DELAY_MS: Type.Integer({
    default: 5_000,
    minimum: 0,
    maximum: 600_000,
    description:
      'milliseconds for which a process that was asked to stop continues to serve, with 503 on `/readyz`. The default under `npm start` is 0',
  }),
  DRAIN_TIMEOUT_MS: Type.Integer({
    default: 40_000,
    minimum: 1_000,
    maximum: 86_400_000,
    description:
      'milliseconds that it then has to drain. Its last quarter, at most 10 s, is for the buffers: requests that are still not answered then are cut off',
  }),
});
export type ProcessConfig = Static<typeof ProcessConfig>;

/** Returns the allowed values if the schema allows only certain values. */
function choicesOf(schema: TSchema | undefined): readonly unknown[] | undefined {
  const { anyOf } = (schema ?? {}) as { anyOf?: readonly { const?: unknown }[] };
  return anyOf?.map(choice => choice.const);
}

function isSecret(key: string): boolean {
  return /PASSWORD|SECRET|TOKEN/.test(key);
}

function fromText(text: string, schema: TSchema): unknown {
  const kind = (schema as { type?: string }).type;
  if ((kind === 'integer' || kind === 'number') && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (kind === 'boolean' && /^(true|false|1|0)$/.test(text)) return text === 'true' || text === '1';
  return text;
}
