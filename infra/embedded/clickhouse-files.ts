/**
 * Writes everything that the embedded ClickHouse server keeps under DATA_DIR, and its settings: the tables in
 * `clickhouse/`, the rest in `clickhouse-server/`.
 *
 * The server is a `clickhouse local` that listens (clickhouse-program.ts). Its start always runs as the user `default`
 * without a password, from 127.0.0.1. So that nobody else on this machine can act as that user, it may do only what the
 * start consists of, and has a quota of exactly that many statements. Any further statement without a user name is
 * refused, except for constants (`SELECT 1`), which no quota counts. Everybody else signs in with the password.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ConfigError, messageOf } from '../errors.ts';
import { readRegularFileSync } from '../regular-file.ts';
import { writeWhole } from './whole-file.ts';

export interface ClickHouseFiles {
  /** The tables. */
  readonly data: string;
  readonly config: string;
  readonly users: string;
  readonly password: string;
  /** The server's errors, at most 4 × 10 MB. */
  readonly errorLog: string;
  /** What it prints before it has a log. It is emptied at each start. */
  readonly console: string;
}

export function clickHouseFiles(dataDir: string): ClickHouseFiles {
  const home = resolve(dataDir, 'clickhouse-server');
  mkdirSync(home, { recursive: true, mode: 0o700 });
  return {
    data: resolve(dataDir, 'clickhouse'),
    config: join(home, 'config.xml'),
    users: join(home, 'users.xml'),
    password: join(home, 'password'),
    errorLog: join(home, 'error.log'),
    console: join(home, 'console.log'),
  };
}

export const clickHouseUser = 'adclicks';

/**
 * Returns `given`, or the password that was created at the first start. If its file is empty, as one that was being written
 * when the power went, another is created: an empty password would let everybody in. @throws ConfigError
 */
export function passwordOf(files: ClickHouseFiles, given: string): string {
  if (given !== '') return given;
  const kept = existsSync(files.password) ? textIn(files.password) : '';
  if (kept !== '') return kept;
  const password = randomBytes(18).toString('base64url');
  writeWhole(files.password, `${password}\n`, 0o600);
  return password;
}

function textIn(path: string): string {
  const wrong = (what: string, cause?: unknown) =>
    new ConfigError(`DATA_DIR: ${path}: ${what}. If it is removed, the next start makes another password`, { cause });
  let text: string;
  try {
    text = readRegularFileSync(path).toString().trim();
  } catch (error) {
    throw wrong(`cannot be read (${messageOf(error)})`, error);
  }
  if (text === '' || /^[!-~]{8,128}$/.test(text)) return text;
  throw wrong('must have one password, of 8 to 128 characters of ASCII without spaces');
}

/** The statements of a start, in their order. The last ends with standard input, and with it the server. */
export const startStatements = [
  'SYSTEM START LISTEN HTTP',
  'SYSTEM START LISTEN TCP',
  "SELECT count() FROM file('-', LineAsString)",
] as const;

export interface ServerLimits {
  readonly memoryMb: number;
}

/** By name, as in the server's configuration file. */
export type ServerSettings = Readonly<Record<string, Element>>;

/** Written again at each start, so that an upgrade and another password take effect. */
export function writeServerSettings(
  files: ClickHouseFiles,
  password: string,
  settings: ServerSettings,
  ofStatements: ServerSettings = {},
): void {
  writeFileSync(files.config, xml(settings));
  const fromThisMachine = { ip: ['127.0.0.1', '::1'] };
  writeFileSync(
    files.users,
    xml({
      profiles: { default: ofStatements },
      users: {
        default: {
          password: '',
          networks: { ip: '127.0.0.1' },
          profile: 'default',
          quota: 'start',
          grants: { query: ['SYSTEM LISTEN', 'FILE', 'CREATE TEMPORARY TABLE'].map(right => `GRANT ${right} ON *.*`) },
        },
        [clickHouseUser]: {
          password_sha256_hex: createHash('sha256').update(password).digest('hex'),
          networks: fromThisMachine,
          profile: 'default',
          quota: 'default',
        },
      },
      quotas: {
        default: {},
        start: { interval: { duration: tenYearsSeconds, queries: startStatements.length } },
      },
    }),
    { mode: 0o600 },
  );
}

const tenYearsSeconds = 315_360_000;

export function serverSettings(files: ClickHouseFiles, { memoryMb }: ServerLimits): ServerSettings {
  return {
    logger: { level: 'error', console: 0, errorlog: files.errorLog, size: '10M', count: 3, levels: untold },
    users_config: files.users,
    max_server_memory_usage: memoryMb * 1_048_576,
    // A cache of this size suffices for one machine. The default is a share of a large server's memory.
    mark_cache_size: 128 << 20,
    uncompressed_cache_size: 0,
    // Well above the 2.5 s for which its clients keep a connection (clickhouse.ts). A client counts from when it has
    // seen the answer, which is later on a busy machine, and could send a read into a connection that was just closed.
    keep_alive_timeout: 10,
    shutdown_wait_unfinished: 1,
    // These would wake a server that has nothing to do: checking whether its files have changed (they are written
    // before each start), measuring its memory, and a sampling profiler that nobody reads.
    config_reload_interval_ms: 3_600_000,
    memory_worker_period_ms: 500,
    global_profiler_real_time_period_ns: 0,
    global_profiler_cpu_time_period_ns: 0,
  };
}

/**
 * They log a failed statement with the values of its parameters, and some of those say who a person is. Whoever has sent
 * the statement gets the error. `query_masking_rules` would hide the values, but this server does not read them.
 */
const untold = { executeQuery: 'none', DynamicQueryHandler: 'none', TCPHandler: 'none' };

type Element = string | number | { readonly [name: string]: Element | readonly Element[] };

function xml(content: Element): string {
  return `<clickhouse>${written(content)}</clickhouse>\n`;
}

function written(content: Element): string {
  if (typeof content !== 'object') return `${content}`.replace(/[&<>]/g, sign => `&#${sign.charCodeAt(0)};`);
  return Object.entries(content)
    .flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map(each => `<${name}>${written(each)}</${name}>`),
    )
    .join('');
}
