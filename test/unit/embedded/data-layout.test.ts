import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { requireKnownLayout } from '../../../infra/embedded/data-layout.ts';

describe('the layout of a data directory', () => {
  let dataDir: string;
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'data-layout-'));
  });
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  it('is written where there is none, and known again', () => {
    requireKnownLayout(dataDir);
    requireKnownLayout(dataDir);
    expect([readdirSync(dataDir), readFileSync(join(dataDir, 'layout'), 'utf8')]).toEqual([['layout'], '1\n']);
  });

  it('of a newer release is refused, and left as it is', () => {
    writeFileSync(join(dataDir, 'layout'), '2\n');
    expect(() => requireKnownLayout(dataDir)).toThrow(/its layout is "2", but release .* knows only layout 1/);
    expect(readFileSync(join(dataDir, 'layout'), 'utf8')).toBe('2\n');
  });

  it('that is empty, as one that was being written when the power went, is written again', () => {
    writeFileSync(join(dataDir, 'layout'), '');
    requireKnownLayout(dataDir);
    expect([readdirSync(dataDir), readFileSync(join(dataDir, 'layout'), 'utf8')]).toEqual([['layout'], '1\n']);
  });

  it('that cannot be read is refused, and left as it is', () => {
    mkdirSync(join(dataDir, 'layout'));
    expect(() => requireKnownLayout(dataDir)).toThrow(`DATA_DIR: ${dataDir}/layout cannot be read: must be a file`);
    expect(readdirSync(dataDir)).toEqual(['layout']);
  });
});
