import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findJava, javaMajorOf, javaVersionIn } from '../../../infra/embedded/java.ts';

describe('the Java runtime', () => {
  it.each([
    ['openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', '17.0.15', 17],
    ['java version "1.8.0_402"\nJava(TM) SE Runtime Environment', '1.8.0_402', 8],
    ['openjdk version "21" 2023-09-19', '21', 21],
    ['openjdk version "25-ea" 2025-09-16', '25-ea', 25],
    ['Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "11.0.2" 2019-01-15', '11.0.2', 11],
  ])('is read out of %j', (output, version, major) => {
    expect(javaVersionIn(output)).toBe(version);
    expect(javaMajorOf(version)).toBe(major);
  });

  it('has no version in what is not its output', () => {
    expect(javaVersionIn('The operation couldn’t be completed. Unable to locate a Java Runtime.')).toBeUndefined();
  });

  it('is the one of JAVA_HOME where that is new enough', async () => {
    const home = fakeJava('home/bin/java', '21.0.1');
    const path = dirname(fakeJava('java', '17.0.1'));
    expect(await findJava({ JAVA_HOME: dirname(dirname(home)), PATH: path })).toBe(home);
  });

  it('is the one on PATH where JAVA_HOME has an old one', async () => {
    const home = fakeJava('home/bin/java', '11.0.2');
    const path = dirname(fakeJava('java', '17.0.1'));
    expect(await findJava({ JAVA_HOME: dirname(dirname(home)), PATH: path })).toBe('java');
  });

  it('is asked for in one line that says what was found', async () => {
    const path = dirname(fakeJava('java', '11.0.2'));
    await expect(findJava({ PATH: path })).rejects.toThrow(
      /needs Java 17 or newer, found java is version 11\.0\.2: install it/,
    );
    await expect(findJava({ PATH: '/nowhere' })).rejects.toThrow(/needs Java 17 or newer, found none: install it/);
  });
});

function fakeJava(path: string, version: string): string {
  const java = join(mkdtempSync(join(tmpdir(), 'java-')), path);
  mkdirSync(dirname(java), { recursive: true });
  writeFileSync(java, `#!/bin/sh\necho 'openjdk version "${version}" 2024-01-01' >&2\n`);
  chmodSync(java, 0o755);
  return java;
}
