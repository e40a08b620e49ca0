/** The house rules (CONTRIBUTING, "The house"), as far as a program can tell. That every file is in a map: docs.test.ts. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAst } from 'vitest/node';
import { shardedTables } from '../infra/clickhouse/sharded-tables.ts';
import { generatedPath } from './support/client-text.ts';
import { contracts } from './support/contracts.ts';

const root = join(import.meta.dirname, '..');
const rooms = ['infra', 'ingest', 'aggregator', 'query-api'];
const sources = globSync(`{${rooms.join(',')}}/**/*.ts`, { cwd: root }).sort();
const pages = globSync('query-api/dashboard/**/*.{html,js,css,svg}', { cwd: root }).sort();
const scripts = pages.filter(file => file.endsWith('.js'));
const tests = globSync('test/**/*.ts', { cwd: root }).sort();
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');
const roomOf = (file: string) => file.split('/')[0] ?? '';
const isMain = (file: string) => /(^|[/-])main\.ts$/.test(file);

interface Import {
  readonly from: string;
  /** A file of ours, relative to the root, or a package's name. */
  readonly to: string;
}

function importsOf(file: string): Import[] {
  const found = textOf(file).matchAll(
    /(?:^|\n)(?:import|export)[^'"`;]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g,
  );
  return [...found].map(([, a, b, c]) => {
    const target = a ?? b ?? c ?? '';
    return { from: file, to: target.startsWith('.') ? relative(root, join(root, dirname(file), target)) : target };
  });
}

const imports = sources.flatMap(importsOf);
const show = ({ from, to }: Import) => `${from} → ${to}`;

describe('the house', () => {
  it('has arrows only up the data flow or down to infra, and between rooms only to contracts', () => {
    const wrong = imports.filter(({ from, to }) => {
      const [source, target] = [rooms.indexOf(roomOf(from)), rooms.indexOf(roomOf(to))];
      if (target === -1 || source === target || target === 0) return false;
      // Composition roots wire the rooms below them.
      if (isMain(from) && source > target) return false;
      return source < target || !contracts.includes(to);
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('keeps the core pure: no adapter, no package, no clock, no chance, no waiting', () => {
    const core = sources.filter(file => file.startsWith('aggregator/core/'));
    expect(core.length).toBeGreaterThan(5);
    const outside = core
      .flatMap(importsOf)
      .filter(({ to }) => !to.startsWith('aggregator/core/') && !contracts.includes(to));
    expect(outside.map(show)).toEqual([]);
    const impure =
      /Date\.now|new Date\b|Math\.random|performance\.|setTimeout|setInterval|randomUUID|process\.|\basync\b|\bawait\b|\bconsole\./;
    expect(core.filter(file => impure.test(withoutComments(textOf(file))))).toEqual([]);
  });

  it.each([
    ['kafkajs', /^infra\/kafka\//],
    ['@clickhouse/client', /^infra\/clickhouse\//],
    ['ffi-rs', /^infra\/embedded\/clickhouse-program\.ts/],
    ['fastify', /^infra\/(http(-[a-z-]+)?|problem)\.ts|^(ingest|query-api)\//],
  ])('imports %s only behind its adapter', (name, adapter) => {
    const users = imports.filter(({ to }) => to === name || to.startsWith(`${name}/`));
    expect(users.length).toBeGreaterThan(0);
    expect(users.filter(({ from }) => !adapter.test(from)).map(show)).toEqual([]);
  });

  it('has a client that needs none of the servers: only itself, and what its package says', () => {
    const needed: { dependencies: object } = JSON.parse(textOf('query-api/client/package.json'));
    const allowed = [...Object.keys(needed.dependencies), 'node:'];
    const own = imports.filter(({ from }) => from.startsWith('query-api/client/'));
    expect(own.length).toBeGreaterThan(5);
    const foreign = own.filter(
      ({ to }) => !to.startsWith('query-api/client/') && !allowed.some(name => to.startsWith(name)),
    );
    expect(foreign.map(show)).toEqual([]);
  });

  it('fills ClickHouse out of the log alone: a sink inserts, and what ClickHouse works out of its own rows', () => {
    const inserting = sources.filter(file => /\.insert\(|INSERT INTO/.test(textOf(file)));
    const sink = inserting.filter(file => file.startsWith('aggregator/sink/'));
    expect(sink.length).toBeGreaterThan(0);
    expect(inserting.filter(file => !sink.includes(file))).toEqual([
      // The statement itself, which life of a node its tables are of, and which migrations are applied.
      'infra/clickhouse/clickhouse.ts',
      'infra/clickhouse/incarnation.ts',
      'infra/migrate.ts',
      // Derived from ad_minute, by whoever runs the jobs.
      'query-api/store/rollup/roll-up.ts',
    ]);
  });

  it('has no cycles of imports', () => {
    const next = new Map(
      sources.map(file => [
        file,
        importsOf(file)
          .map(({ to }) => to)
          .filter(to => sources.includes(to)),
      ]),
    );
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): string[] => {
      if (path.includes(file)) return [[...path.slice(path.indexOf(file)), file].join(' → ')];
      if (done.has(file)) return [];
      const cycles = (next.get(file) ?? []).flatMap(to => visit(to, [...path, file]));
      done.add(file);
      return cycles;
    };
    expect(sources.flatMap(file => visit(file, []))).toEqual([]);
  });

  it('has an order of files and folders within each folder: none uses, by whatever way, what uses it', () => {
    const levels = new Map<string, Map<string, string[]>>();
    for (const { from, to } of imports.filter(({ to }) => sources.includes(to))) {
      const [a, b] = [from.split('/'), to.split('/')];
      const depth = a.findIndex((part, i) => part !== b[i]);
      const folder = a.slice(0, depth).join('/');
      const level = levels.get(folder) ?? new Map<string, string[]>();
      levels.set(folder, level);
      const [user = '', used = ''] = [a[depth], b[depth]];
      level.set(user, [...(level.get(user) ?? []), used]);
    }
    const inCycles = [...levels].flatMap(([folder, level]) => {
      const reached = (name: string, seen = new Set<string>()): Set<string> => {
        for (const next of level.get(name) ?? []) if (!seen.has(next)) reached(next, seen.add(next));
        return seen;
      };
      return [...level.keys()].filter(name => reached(name).has(name)).map(name => join(folder, name));
    });
    expect(inCycles).toEqual([]);
  });

  it('exports no value that nobody imports, and no type that nobody names', () => {
    const imported = new Set([...sources, ...tests, ...scripts].flatMap(namesImportedBy));
    const nobodys = sources.flatMap(file =>
      exportsOf(file)
        .filter(({ name }) => !imported.has(`${file} ${name}`) && !imported.has(`${file} *`))
        // The type of what a function takes or gives is named where the function is.
        .filter(({ name, isType }) => !isType || !isNamedAgain(file, name))
        .map(({ name }) => `${file} ${name}`),
    );
    expect(imported.size).toBeGreaterThan(1_000);
    expect(nobodys).toEqual([]);
  });

  it('has nothing that only tests use, but what they compare with', () => {
    const imported = new Set([...sources, ...scripts].flatMap(namesImportedBy));
    const ofTests = sources.flatMap(file =>
      exportsOf(file)
        .filter(
          ({ name }) => !imported.has(`${file} ${name}`) && !imported.has(`${file} *`) && !isNamedAgain(file, name),
        )
        .map(({ name }) => `${file} ${name}`),
    );
    expect(ofTests).toEqual([
      // A topology of one node, in which simulated worlds live.
      'aggregator/sink/node.ts onlyNode',
      // By it the simulated broker knows which end is asked for.
      'infra/kafka/checked-answers.ts asksForHighWatermarks',
      // What kafkajs had where ours is now: both must do the same with the same bytes.
      'infra/kafka/fetch-decoder.ts decodeMessagesOfKafkajs',
      'infra/kafka/fetch-loop.ts fetchManagerOfKafkajs',
      'infra/kafka/request-frame.ts frameOfKafkajs',
    ]);
  });

  it('names files by what they say, and none utils, helpers, common, shared or index', () => {
    const bad = [...sources, ...tests].filter(file => {
      const name = file.split('/').at(-1) ?? '';
      return (
        !/^([a-z0-9]+(-[a-z0-9]+)*|vitest\.config)(\.test)?\.ts$/.test(name) ||
        /(util|helper|manager|common|shared|^index)/.test(name)
      );
    });
    expect(bad).toEqual([]);
  });

  it('has files that still say one thing', () => {
    const written = sources.filter(file => file !== generatedPath);
    expect(written.filter(file => textOf(file).split('\n').length > 320)).toEqual([]);
  });

  it('has functions of at most 60 lines, except where the comment says why one is longer', () => {
    const written = [...sources.filter(file => file !== generatedPath), ...scripts];
    const long = written.flatMap(file => longFunctions(file));
    expect(long.filter(each => !longWithoutReason.has(each))).toEqual([]);
    // The list only shrinks: whoever splits a function, or gives the reason for its length, takes it out.
    expect([...longWithoutReason].filter(each => !long.includes(each))).toEqual([]);
    const body = '\n'.repeat(60);
    expect(longFunctions('a.ts', `function f() {${body}}`)).toEqual(['a.ts: f']);
    expect(longFunctions('a.ts', `const g = async () => {${body}};`)).toEqual(['a.ts: g']);
    expect(longFunctions('a.ts', `class A {\n  h() {${body}}\n}`)).toEqual(['a.ts: h']);
    expect(longFunctions('a.ts', `/** Long because so. */\nexport function f() {${body}}`)).toEqual([]);
    expect(longFunctions('a.ts', `/** Long because so. */\n\nexport function f() {${body}}`)).toEqual(['a.ts: f']);
    expect(longFunctions('a.ts', `function f() {${body.slice(1)}}`)).toEqual([]);
  });

  it('has a dashboard that needs nothing but its own files: no markup from text, no inline style, no other host', () => {
    expect(scripts.length).toBeGreaterThan(10);
    const unsafe = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/;
    expect(scripts.filter(file => unsafe.test(textOf(file)))).toEqual([]);
    expect(pages.filter(file => /["'(]https?:\/\/(?!www\.w3\.org)|\sstyle=/.test(textOf(file)))).toEqual([]);
    expect(scripts.filter(file => textOf(file).split('\n').length > 320)).toEqual([]);
  });

  it('puts no value into SQL: what is filled in is bound, by one of two tags', () => {
    expect(sources.filter(file => !sqlOfNames.has(file)).flatMap(file => filledInSql(file))).toEqual([]);
    expect(filledInSql('a.ts', 'const a = `SELECT 1 WHERE b = \x24{c}`')).toEqual(['a.ts: SELECT 1 WHERE b = {…}']);
    expect(filledInSql('a.ts', "f('SELECT 1 FROM ' + t)")).toEqual(['a.ts: SELECT 1 FROM ']);
    expect(filledInSql('a.ts', "f('WHERE b IN ?'.replace('?', c))")).toEqual(['a.ts: WHERE b IN ?']);
    expect(filledInSql('a.ts', "const a = sql`WHERE b = \x24{c as string}`; f('SELECT 1')")).toEqual([]);
  });

  it('has SQL in the store, and where ClickHouse itself is looked after', () => {
    const having = sources.filter(file => /\b(?:sql|statement)`/.test(withoutComments(textOf(file))));
    expect(having.length).toBeGreaterThan(20);
    // The rule for texts in CSV stands in one file, as code and as SQL.
    const elsewhere = having.filter(file => !/^(query-api\/store|infra\/clickhouse)\//.test(file));
    expect(elsewhere).toEqual(['infra/csv.ts']);
  });

  it('names the tables that are in shards in one way: each statement would else read those of one', () => {
    const tables = shardedTables.join('|');
    const named = new RegExp(`\\b(?:FROM|JOIN)\\s+(?:${tables})\\b|named\\('(?:${tables})'\\)`);
    const readers = sources.filter(file => file.startsWith('query-api/'));
    expect(readers.filter(file => textOf(file).includes('sharded(')).length).toBeGreaterThan(10);
    expect(readers.filter(file => named.test(withoutComments(textOf(file))))).toEqual([]);
    expect(named.test('FROM click_raw FINAL')).toBe(true);
    // Each node by itself is what is compared.
    const ofAnyTable = readers.filter(file => /(FROM|JOIN)\s+\$\{named\(/.test(textOf(file)));
    expect(ofAnyTable).toEqual(['query-api/store/replicas/replica-digests.ts']);
  });

  it('reads rows of ClickHouse in one way, which checks them', () => {
    const asking = /\.query\s*[<(]/;
    const inRoom = sources.filter(file => file.startsWith('query-api/') && !file.startsWith('query-api/client/'));
    const found = inRoom.filter(file => asking.test(withoutComments(textOf(file))));
    // The second one passes on what it is asked for.
    expect(found).toEqual(['query-api/replicas/replicas.ts', 'query-api/store/sql/read-rows.ts']);
  });

  it('has no holes in its types and leaves nothing to do', () => {
    const hole = /\bas any\b|<any>|@ts-ignore|@ts-expect-error|@ts-nocheck|biome-ignore|\b(TODO|FIXME|XXX)\b/;
    const self = 'test/architecture.test.ts';
    expect([...sources, ...tests, ...scripts].filter(file => file !== self && hole.test(textOf(file)))).toEqual([]);
    // Types of pages stand in comments.
    const holeInComment = /\{[^{}]*\bany\b[^{}]*\}|\{\s*[*?]\s*\}/;
    expect(scripts.flatMap(file => commentsOf(textOf(file))).filter(comment => holeInComment.test(comment))).toEqual(
      [],
    );
    expect(holeInComment.test('/** @type {Map<string, any>} */')).toBe(true);
  });
});

interface Exported {
  readonly name: string;
  readonly isType: boolean;
}

function exportsOf(file: string): Exported[] {
  const found = textOf(file).matchAll(/^export (?:async )?(function\*?|class|const|let|interface|type) (\w+)/gm);
  return [...found].map(([, kind = '', name = '']) => ({ name, isType: kind === 'interface' || kind === 'type' }));
}

function isNamedAgain(file: string, name: string): boolean {
  const code = textOf(file).replace(/^\s*(\/\*\*|\*|\/\/).*$/gm, '');
  return (code.match(new RegExp(`\\b${name}\\b`, 'g')) ?? []).length > 1;
}

/** `file name` of each; `file *` where it is taken as a whole, also by an import that waits until it is needed. */
function namesImportedBy(file: string): string[] {
  const text = textOf(file);
  const pathOf = (target = '') => relative(root, join(root, dirname(file), target));
  const named = text.matchAll(/(?:^|\n)(?:import|export)\s+(?:type\s+)?\{([^}]*)\}\s*from\s+'(\.[^']+)'/g);
  // Pages name types in comments.
  const inComments = text.matchAll(/@import \{([^}]*)\} from '(\.[^']+)'/g);
  const whole = text.matchAll(/(?:\* as \w+ from\s+|\bimport\(\s*)'(\.[^']+)'/g);
  return [
    ...[...named, ...inComments].flatMap(([, names = '', target]) =>
      names.split(',').map(
        name =>
          `${pathOf(target)} ${
            name
              .trim()
              .replace(/^type\s+/, '')
              .split(/\s+as\s+/)[0]
          }`,
      ),
    ),
    ...[...whole].map(([, target]) => `${pathOf(target)} *`),
  ];
}
/** Functions of more than 60 lines whose comment, right above them, does not say `Long because …`. */
function longFunctions(file: string, text = textOf(file)): string[] {
  const found: string[] = [];
  const lines = text.split('\n');
  const lineAt = (offset: number) => text.slice(0, offset).split('\n').length - 1;
  const commentAbove = (line: number) => {
    let first = line;
    while (first > 0 && /^\s*(\/\*\*|\*|\/\/)/.test(lines[first - 1] ?? '')) first--;
    return lines.slice(first, line).join('\n');
  };
  const visit = (node: AstNode, parent?: AstNode): void => {
    if (functionTypes.has(node.type)) {
      const [first, last] = [lineAt(node.start), lineAt(node.end)];
      const name = node.id?.name ?? parent?.key?.name ?? parent?.id?.name ?? 'a function in it';
      if (last - first >= 60 && !/\bLong because\b/.test(commentAbove(first))) found.push(`${file}: ${name}`);
    }
    for (const child of Object.values(node).flat()) if (isNode(child)) visit(child, node);
  };
  visit(parseAst(text, { lang: 'ts' }) as unknown as AstNode);
  return found;
}

const functionTypes = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

/** Functions that are too long and give no reason. Nothing is added here. */
const longWithoutReason: ReadonlySet<string> = new Set([]);

/** SQL of a file that is put together in any other way than by `sql` and `statement` of infra/clickhouse/sql.ts. */
function filledInSql(file: string, text = textOf(file)): string[] {
  const found: string[] = [];
  const isSql = (part: string) =>
    /\b(SELECT|FROM|WHERE|INSERT INTO|VALUES|HAVING|(GROUP|ORDER) BY|LIMIT|SETTINGS|AND|OR|IN)\b/.test(part);
  const visit = (node: AstNode, parent?: AstNode): void => {
    if (node.type === 'TemplateLiteral' && node.expressions?.length && !boundBy.has(parent?.tag?.name ?? '')) {
      const whole = node.quasis?.map(({ value }) => value.raw).join('{…}') ?? '';
      if (isSql(whole)) found.push(`${file}: ${whole}`);
    }
    const isChanged = parent?.type === 'BinaryExpression' || parent?.type === 'MemberExpression';
    if (isChanged && node.type === 'Literal' && typeof node.value === 'string' && isSql(node.value))
      found.push(`${file}: ${node.value}`);
    for (const child of Object.values(node).flat()) if (isNode(child)) visit(child, node);
  };
  visit(parseAst(text, { lang: 'ts' }) as unknown as AstNode);
  return found;
}

const boundBy = new Set(['sql', 'statement']);

interface AstNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly id?: { readonly name?: string };
  readonly key?: { readonly name?: string };
  readonly tag?: { readonly name?: string };
  readonly value?: unknown;
  readonly expressions?: readonly unknown[];
  readonly quasis?: readonly { readonly value: { readonly raw: string } }[];
}

function isNode(value: unknown): value is AstNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** Whose statements are filled in with names of tables, databases and formats of ours, and with how nodes reach each other. */
const sqlOfNames = new Set([
  'infra/clickhouse/clickhouse.ts',
  'infra/clickhouse/over-shards.ts',
  'infra/clickhouse/sharded-tables.ts',
  'infra/migrate.ts',
]);

function commentsOf(text: string): string[] {
  return text.match(/\/\*\*[\s\S]*?\*\//g) ?? [];
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');
}
