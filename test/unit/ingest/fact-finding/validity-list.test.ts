/** Files of networks and user agents: what they may hold, and that a broken one leaves the former in force. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { registry } from '../../../../infra/metrics.ts';
import { atOnce } from '../../../../infra/slices.ts';
import { FactFinder } from '../../../../ingest/fact-finding/fact-finder.ts';
import { listLimits, readValidityList } from '../../../../ingest/fact-finding/validity-list.ts';
import { openFactLists } from '../../../../ingest/open-fact-lists.ts';
import { factsText } from '../../../../ingest/validity/facts.ts';
import { eventually } from '../../../support/wait.ts';

const parse = (text: string, holds: 'networks' | 'userAgentsToo' = 'userAgentsToo') =>
  atOnce(readValidityList(Buffer.from(text), 'LIST=file', holds));

describe('a list', () => {
  it('has comments, blank lines, spaces and ends of lines of any system', () => {
    const list = parse('\ufeff# ours\r\n\r\n 192.0.2.0/24 # a\r\n2001:db8::1#b\nUser-Agent:  Foo#Bar \n');
    expect([...list.networks]).toEqual(['192.0.2.0/24', '2001:db8::1']);
    expect(list.userAgents).toEqual(['foo#bar']);
  });

  it.each([
    ['192.0.2.0/24\n\n10.0.0.0/2\n', /^LIST=file: line 3 is "10\.0\.0\.0\/2", but must have 8 to 32 bits/],
    ['192.0.2.0/24\n<!DOCTYPE html>', /line 2 is "<!DOCTYPE html>", but must be an address or a network/],
    ['user-agent: x', /line 1 is "user-agent: x", but must have 3 to 512 characters/],
    [`user-agent: ${'x'.repeat(513)}`, /line 1 is "user-agent: x+…, but must have 3 to 512 characters/],
    [`# ${'x'.repeat(listLimits.lineLength)}`, /line 1 has 1026 characters, but may have 1024/],
    ['\ufffd\n', /line 1/],
  ])('%j is refused with the number of its line', (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  it.each(['', '\n', ' \r\n\n', '\ufeff'])('%j is refused: so a copy looks that has failed', text => {
    expect(() => parse(text)).toThrow('LIST=file: is empty, but must have a line');
  });

  it('may be empty where a comment says so', () => {
    expect([...parse('# none yet').networks]).toEqual([]);
  });

  it('of data centres has no user agents', () => {
    expect(() => parse('user-agent: FooBot', 'networks')).toThrow(/line 1 is "user-agent: FooBot"/);
  });

  it('has limits', () => {
    const agents = Array.from({ length: listLimits.userAgents + 1 }, (_, i) => `user-agent: agent ${i}`);
    expect(() => parse(agents.join('\n'))).toThrow(`line ${listLimits.userAgents + 1} is one too many`);
    expect(parse(agents.slice(1).join('\n')).userAgents).toHaveLength(listLimits.userAgents);
    const networks = `${'192.0.2.1\n'.repeat(listLimits.networks)}192.0.2.2`;
    expect(() => parse(networks)).toThrow(`line ${listLimits.networks + 1} is one too many`);
    expect(() => atOnce(readValidityList(Buffer.alloc(listLimits.bytes + 1, '#'), 'L', 'networks'))).toThrow(
      'may have',
    );
    expect(() => atOnce(readValidityList(Buffer.from([0x31, 0xff]), 'L', 'networks'))).toThrow('must be UTF-8');
  });
});

describe('a file', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'lists-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const log = pino({ level: 'silent' });
  const put = (text: string) => {
    const path = join(directory, 'list');
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
    return path;
  };
  const configured = { INGEST_DATACENTRE_FILE: '', INGEST_DENY_FILE: '', INGEST_ALLOW_FILE: '' };

  it('is followed, and a broken one leaves the former list in force and says so', async () => {
    const path = put('192.0.2.0/24\n');
    await using opened = await openFactLists({ ...configured, INGEST_DATACENTRE_FILE: path }, log, 5);
    const finder = new FactFinder(opened.lists);
    const isDatacentre = (ip: string) => factsText(finder.factsOf(ip, undefined, undefined)) === 'c';
    const staleness = async () =>
      (await registry.getSingleMetricAsString('adclicks_settings_file_stale')).includes(
        'settings_file_stale{setting="INGEST_DATACENTRE_FILE"} 1',
      );
    expect([isDatacentre('192.0.2.1'), isDatacentre('198.51.100.1')]).toEqual([true, false]);
    put('198.51.100.0/24\n192.0.2.0/\n');
    await eventually('the metric', staleness);
    expect([isDatacentre('192.0.2.1'), isDatacentre('198.51.100.1')]).toEqual([true, false]);
    put('198.51.100.0/24\n');
    await eventually('the new list', async () => isDatacentre('198.51.100.1'));
    expect([isDatacentre('192.0.2.1'), await staleness()]).toEqual([false, false]);
  });

  it('is read a few networks at a time, and until it is read to its end the former one is in force, whole', async () => {
    const path = put('192.0.2.0/24\n');
    await using opened = await openFactLists({ ...configured, INGEST_DATACENTRE_FILE: path }, log, 5);
    const finder = new FactFinder(opened.lists);
    const inForce = () =>
      ['192.0.2.1', '10.0.0.1', '10.78.31.1'].map(ip => factsText(finder.factsOf(ip, undefined, undefined))).join();
    const [former, next] = ['c,,', ',c,c'];
    expect(inForce()).toBe(former);
    const networks = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24\n`);
    const adding = vi.spyOn(Set.prototype, 'add');
    const added = () => adding.mock.calls.filter(([text]) => String(text).startsWith('10.')).length;
    const seen = new Set<string>();
    let most = 0;
    put(networks.join(''));
    const patience = AbortSignal.timeout(60_000);
    while (inForce() !== next) {
      patience.throwIfAborted();
      seen.add(inForce());
      most = Math.max(most, added());
      adding.mockClear();
      await new Promise(resolve => setImmediate(resolve));
    }
    adding.mockRestore();
    expect([...seen]).toEqual([former]);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(1_000);
  });

  it('that is broken ends the start', async () => {
    const path = put('nonsense\n');
    await expect(openFactLists({ ...configured, INGEST_DENY_FILE: path }, log)).rejects.toThrow(
      `INGEST_DENY_FILE=${path}: line 1 is "nonsense"`,
    );
  });
});
