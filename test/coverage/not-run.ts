/** Reads what v8 has measured, in Istanbul's form: how much of each room has run, and what has not. Pure. */

/** Counts by the numbers that the maps give to statements, functions and branches. */
export interface CoveredFile {
  readonly path: string;
  readonly s: Readonly<Record<string, number>>;
  readonly f: Readonly<Record<string, number>>;
  readonly b: Readonly<Record<string, readonly number[]>>;
  readonly fnMap: Readonly<
    Record<string, { readonly name: string; readonly loc: { readonly start: { readonly line: number } } }>
  >;
}

/**
 * `unloaded`: the paths of files of which nothing has run. `functions`: `path:line name` of those in the other files that
 * have a name; one without is a part of another.
 */
export function notRun(files: readonly CoveredFile[]): { unloaded: string[]; functions: string[] } {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const isLoaded = (file: CoveredFile) => Object.values(file.s).some(times => times > 0);
  // A file of types alone has no statement, and nothing that could run.
  const unloaded = sorted.filter(file => Object.keys(file.s).length > 0 && !isLoaded(file)).map(({ path }) => path);
  const functions = sorted.filter(isLoaded).flatMap(({ path, f, fnMap }) =>
    Object.entries(fnMap)
      .filter(([id, { name }]) => f[id] === 0 && !name.startsWith('(anonymous'))
      .map(([, { name, loc }]) => `${path}:${loc.start.line} ${name}`),
  );
  return { unloaded, functions };
}

/** One line for each room, and one for all. */
export function roomTable(files: readonly CoveredFile[]): string {
  const rooms = Map.groupBy(files, ({ path }) => roomOf(path));
  const lines = [...rooms].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([room, of]) => lineOf(room, of));
  const heading = ['room'.padEnd(24), 'files', 'statements', 'functions', 'branches'].join('  ');
  return [heading, ...lines, lineOf('all', files)].join('\n');
}

/** The rooms, and of the largest ones their folders. */
function roomOf(path: string): string {
  const [room = '', folder = ''] = path.split('/');
  return folder.includes('.') ? room : `${room}/${folder}`;
}

function lineOf(name: string, files: readonly CoveredFile[]): string {
  const share = (counts: readonly number[]) => {
    const ran = counts.filter(times => times > 0).length;
    return counts.length === 0 ? '–' : `${((100 * ran) / counts.length).toFixed(1)} %`;
  };
  return [
    name.padEnd(24),
    String(files.length).padStart('files'.length),
    share(files.flatMap(({ s }) => Object.values(s))).padStart('statements'.length),
    share(files.flatMap(({ f }) => Object.values(f))).padStart('functions'.length),
    share(files.flatMap(({ b }) => Object.values(b).flat())).padStart('branches'.length),
  ].join('  ');
}
