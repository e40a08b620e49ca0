/**
 * A real Chromium for tests: the one that BROWSER_PATH names, else the one that came with `npm ci` (Linux on x64), else
 * one that is installed. None is a failure with the way to get one, never a test that is left out.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { type Browser, chromium } from 'playwright-core';

export async function openBrowser(): Promise<Browser> {
  const { path, env } = await findBrowser();
  console.log(`test browser: ${path}`);
  return await chromium.launch({ executablePath: path, env: { ...process.env, ...env }, args: flags });
}

/** Tests run as root in containers, without a GPU, and must not call home. */
const flags = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

interface Found {
  readonly path: string;
  readonly env?: Readonly<Record<string, string>>;
}

async function findBrowser(): Promise<Found> {
  const named = process.env['BROWSER_PATH'];
  if (named !== undefined) {
    if (existsSync(named)) return { path: named };
    throw new Error(`BROWSER_PATH="${named}": there is no such file`);
  }
  const packaged = process.platform === 'linux' && process.arch === 'x64' ? await unpacked() : undefined;
  const path = packaged?.path ?? installed();
  if (path === undefined) throw new Error(howToGetOne);
  return packaged ?? { path };
}

const howToGetOne =
  'no Chromium was found: `npm ci` brings one for Linux on x64; elsewhere install one (Debian: apt-get install chromium; macOS: brew install --cask chromium) or set BROWSER_PATH to it';

function installed(): string | undefined {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const apps = ['Chromium', 'Google Chrome'].map(name => `/Applications/${name}.app/Contents/MacOS/${name}`);
  return [...folders.flatMap(folder => names.map(name => join(folder, name))), ...apps].find(existsSync);
}

/** The packaged browser, unpacked once per version. It comes with the libraries and fonts that a bare machine lacks. */
async function unpacked(): Promise<Found | undefined> {
  const packages = packagedFolder();
  if (packages === undefined) return undefined;
  const { version } = JSON.parse(await readFile(join(packages, '../package.json'), 'utf8'));
  const home = join(packages, '../../../.cache', `chromium-${version}`);
  if (!existsSync(home)) {
    // Under another name until all is there: a run that is killed meanwhile leaves nothing half done behind.
    const unfinished = `${home}.${process.pid}`;
    await mkdir(unfinished, { recursive: true });
    await writeFile(join(unfinished, 'chromium'), await inflated(join(packages, 'chromium.br')), { mode: 0o755 });
    for (const name of ['al2023', 'fonts']) untar(await inflated(join(packages, `${name}.tar.br`)), unfinished);
    await rename(unfinished, home).catch(() => rm(unfinished, { recursive: true }));
  }
  const hasFonts = globSync('/usr/share/fonts/**/*.{ttf,otf}').length > 0;
  return {
    path: join(home, 'chromium'),
    env: {
      LD_LIBRARY_PATH: [join(home, 'lib'), process.env['LD_LIBRARY_PATH'] ?? ''].filter(Boolean).join(':'),
      ...(hasFonts ? {} : { FONTCONFIG_PATH: home }),
    },
  };
}

function packagedFolder(): string | undefined {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')), '../bin');
  } catch {
    return undefined;
  }
}

async function inflated(path: string): Promise<Buffer> {
  return await promisify(brotliDecompress)(await readFile(path));
}

function untar(archive: Buffer, into: string): void {
  execFileSync('tar', ['-x', '-f', '-', '-C', into], { input: archive });
}
