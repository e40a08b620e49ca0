/**
 * Runs a ClickHouse server in this process until standard input ends: `node clickhouse-program.ts <arguments>`.
 *
 * The library `libchdb` contains the whole of `clickhouse local`, which can listen. Its function for command lines is
 * called, which returns when the last statement has ended, so nothing of Node runs meanwhile: no timer and no signal
 * handler. The last statement reads standard input, which ties the server to its parent: when the parent closes the
 * pipe, or is killed, the server shuts down properly by itself.
 */
import { createRequire } from 'node:module';
import { DataType, load, open } from 'ffi-rs';
import { exitCodes } from '../exit-codes.ts';

const packages: Readonly<Record<string, string>> = {
  'darwin-arm64': '@chdb/lib-darwin-arm64',
  'darwin-x64': '@chdb/lib-darwin-x64',
  'linux-arm64': '@chdb/lib-linux-arm64-gnu',
  'linux-x64': '@chdb/lib-linux-x64-gnu',
};

const path = libraryPath();
if (path === undefined) {
  console.error(
    `there is no embedded ClickHouse for ${process.platform}-${process.arch}, only for ${Object.keys(packages).join(', ')} ` +
      '(optional dependencies of npm, glibc on Linux). Set CLICKHOUSE_URL to a server of your own',
  );
  process.exit(exitCodes.config);
}
open({ library: 'clickhouse', path });
const args = ['clickhouse', ...process.argv.slice(2)];
load({
  library: 'clickhouse',
  funcName: 'chdb_query_cmdline',
  retType: DataType.External,
  paramsType: [DataType.I32, DataType.StringArray],
  paramsValue: [args.length, args],
});

function libraryPath(): string | undefined {
  const name = packages[`${process.platform}-${process.arch}`];
  try {
    return name && createRequire(import.meta.url).resolve(`${name}/libchdb.so`);
  } catch {
    return undefined;
  }
}
