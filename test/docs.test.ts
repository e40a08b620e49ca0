/** The documents are true of the code, as far as a program can tell. */
import { existsSync, globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { settingGroups } from './support/config-table.ts';
import { contracts } from './support/contracts.ts';
import { decisions } from './support/decisions.ts';
import { blocksOf, documents, documentText } from './support/docs.ts';
import { fileMap, firstSentence, headerOf, mappedFiles, rooms } from './support/file-map.ts';
import { alerts } from './support/monitoring.ts';
import { statedSettings, statedSettingsPath } from './support/stated-settings.ts';

const root = join(import.meta.dirname, '..');
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');
const blocks = documents().flatMap(blocksOf);

describe('what documents repeat of the code (npm run docs)', () => {
  it.each([...new Set(blocks.map(({ document }) => document))])('%s is as the generator writes it', async document => {
    expect(textOf(document)).toBe(await documentText(document));
  });

  it('is what the supervisor knows of the settings of the programs it runs', () => {
    expect(textOf(statedSettingsPath)).toBe(statedSettings());
  });

  it('is every setting, once', () => {
    const named = blocks.filter(({ kind }) => kind === 'settings').map(({ of }) => of);
    expect(named.sort()).toEqual(Object.keys(settingGroups).sort());
  });

  it('is a map of each room, in which every file stands once', () => {
    const maps = blocks.filter(({ kind }) => kind === 'map').map(({ document }) => dirname(document));
    expect(maps).toEqual(expect.arrayContaining(rooms));
    const rows = maps.flatMap(folder =>
      [...fileMap(folder).matchAll(/^\| \[[^\]]+\]\(([^)]+)\)/gm)].map(([, path = '']) => join(folder, path)),
    );
    expect(rows.filter(path => !path.endsWith('README.md')).sort()).toEqual(mappedFiles());
  });

  it.each(['alerts', 'decisions', 'metrics'])('is the list of all %s, once', kind => {
    expect(blocks.filter(block => block.kind === kind)).toHaveLength(1);
  });

  it('is the requests of both services', () => {
    expect(
      blocks
        .filter(({ kind }) => kind === 'routes')
        .map(({ of }) => of)
        .sort(),
    ).toEqual(['ingest', 'query-api']);
  });
});

describe('the header comment of a file', () => {
  it('says in its first sentence what the file is', () => {
    const wrong = mappedFiles().flatMap(file => {
      const says = firstSentence(headerOf(file) ?? '');
      return says.length > 14 && says.length < 300 && /[.!?]$/.test(says) ? [] : [`${file}: ${says}`];
    });
    expect(wrong).toEqual([]);
  });

  it('begins with CONTRACT where other rooms may import the file, and nowhere else', () => {
    const says = mappedFiles().filter(
      file => /^(ingest|aggregator)\//.test(file) && /^CONTRACT: /.test(headerOf(file) ?? ''),
    );
    expect(says).toEqual([...contracts].sort());
  });
});

describe('README', () => {
  it('is read in one go', () => {
    expect(textOf('README.md').split('\n').length).toBeLessThanOrEqual(250);
  });
});

describe('pictures (npm run screenshots)', () => {
  // An example of code shows no picture.
  const withoutCode = (document: string) => textOf(document).replace(/```[\s\S]*?```/g, '');
  const shown = documents().flatMap(document =>
    [...withoutCode(document).matchAll(/(?:src|srcset)="([^"]+)"|!\[[^\]]*\]\(([^)]+)\)/g)].map(([, a, b]) =>
      join(dirname(document), a ?? b ?? ''),
    ),
  );

  it('are there, each described, small enough to load, and all of them shown', () => {
    expect(shown.length).toBeGreaterThan(4);
    expect(shown.filter(file => !existsSync(join(root, file)))).toEqual([]);
    expect(shown.filter(file => statSync(join(root, file)).size > 150_000)).toEqual([]);
    expect(documents().flatMap(file => withoutCode(file).match(/<img(?![^>]*\balt="[^"]{10,}")/g) ?? [])).toEqual([]);
    const pictures = readdirSync(join(root, 'infra/tour')).map(file => `infra/tour/${file}`);
    expect(pictures.filter(file => !shown.includes(file))).toEqual([]);
  });
});

describe('links', () => {
  it('lead to files and headings that are there', () => {
    const broken = documents().flatMap(document =>
      [...withoutCode(textOf(document)).matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, target = '']) => target)
        .filter(target => !/^[a-z]+:/.test(target))
        .filter(target => {
          const [path = '', anchor] = target.split('#');
          const file = path === '' ? document : join(dirname(document), path);
          if (!existsSync(join(root, file))) return true;
          return anchor !== undefined && !anchorsOf(file).includes(anchor);
        })
        .map(target => `${document}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it('are there for each place in a text: files and commands that are named exist', () => {
    const files = globSync(['*', `{${rooms.join(',')},.github}/**/*`], {
      cwd: root,
      exclude: ['node_modules', 'data'],
    });
    const scripts = Object.keys(JSON.parse(textOf('package.json')).scripts);
    const wrong = documents().flatMap(document => {
      const text = textOf(document);
      const paths = [...text.matchAll(/`((?:ingest|aggregator|query-api|infra|test)\/[\w./-]+)`/g)]
        .map(([, path = '']) => path)
        .filter(path => !existsSync(join(root, path)) && !existsSync(join(root, dirname(document), path)))
        .filter(path => !madeLater.includes(path));
      // Named without its folder, or with the end of its path.
      const short = [...text.matchAll(/`([a-z][\w.-]*(?:\/[\w.-]+)*\.(?:ts|js|sql|yml|html|css))`/g)]
        .map(([, path = '']) => path)
        .filter(path => !files.some(file => file === path || file.endsWith(`/${path}`)))
        .filter(path => !existsSync(join(root, 'node_modules/kafkajs/src', path)));
      const commands = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name = '']) => name);
      return [...paths, ...short, ...commands.filter(name => !scripts.includes(name))].map(
        name => `${document}: ${name}`,
      );
    });
    expect(wrong).toEqual([]);
  });
});

describe('decisions', () => {
  it.each(decisions())(
    '$file says its status and date, what was rejected, and what would change our mind',
    decision => {
      expect(decision.title).not.toBe('');
      expect(decision.status).toMatch(/^(accepted|replaced|in part replaced)/);
      expect(decision.date).toMatch(/^20\d\d-/);
      expect(decision.text).toMatch(/^\*\*(Instead of|Rejected)\*\*[:.] .{10}/m);
      expect(decision.text).toMatch(/^\*\*What would change our mind\*\*[:.] .{20}/m);
    },
  );
});

describe('decision 005', () => {
  it('names every function of kafkajs that is replaced', () => {
    const adapter = globSync('infra/kafka/*.ts', { cwd: root }).map(textOf).join('\n');
    const replaced = [...adapter.matchAll(/\b(\w+)\.prototype\.(\w+) = /g)].map(([, type, name]) => `${type}.${name}`);
    const modules = [...adapter.matchAll(/const replaced = require\.resolve\('kafkajs\/src\/([\w/]+)\.js'\)/g)];
    expect(replaced.length).toBeGreaterThan(20);
    const [decision] = decisions().filter(({ file }) => file.startsWith('005-'));
    const named = (name: string) => decision?.text.includes(`\`${name}\``);
    expect(replaced.filter(name => !named(name))).toEqual([]);
    const ends = modules.map(([, path = '']) => path.replace(/^protocol\/requests\//, ''));
    expect(ends.length).toBeGreaterThan(2);
    expect(ends.filter(path => !named(path))).toEqual([]);
  });
});

describe('the runbook', () => {
  const runbook = textOf('infra/runbook.md');
  const sections = new Map(
    runbook
      .split(/^### /m)
      .slice(1)
      .map(section => [section.split('\n')[0] ?? '', section]),
  );

  it.each(alerts)('says what $alert means and what to do, and the alert says where', ({ alert, annotations }) => {
    const section = sections.get(alert) ?? '';
    expect(section).toMatch(/\*\*It means\*\*: .{20}/);
    expect(section).toMatch(/\*\*Do\*\*: .{20}/);
    expect(annotations.runbook).toBe(`infra/runbook.md#${alert.toLowerCase()}`);
  });

  it('has a section for nothing else', () => {
    expect([...sections.keys()].sort()).toEqual(alerts.map(({ alert }) => alert).sort());
  });
});

/** What is not in the repository, because people or programs make it. */
const madeLater: readonly string[] = ['infra/.env', 'test/artifacts/dashboard/'];

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
}

/** The anchors that GitHub makes of headings, and those written as HTML. */
function anchorsOf(file: string): string[] {
  const text = textOf(file).replace(/^```[\s\S]*?^```/gm, '');
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  return [...headings, ...[...text.matchAll(/\b(?:id|name)="([^"]+)"/g)].map(([, id = '']) => id)];
}
