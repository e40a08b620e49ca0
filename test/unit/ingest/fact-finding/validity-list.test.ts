/** Files of networks and user agents: what they may hold, and that a broken one leaves the former in force. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { registry } from '../../../../infra/metrics.ts';
import { FactFinder } from '../../../../ingest/fact-finding/fact-finder.ts';
import { listLimits, parseValidityList } from '../../../../ingest/fact-finding/validity-list.ts';
import { openFactLists } from '../../../../ingest/open-fact-lists.ts';
import { factsText } from '../../../../ingest/validity/facts.ts';
import { eventually } from '../../../support/wait.ts';

const parse = (text: string, holds: 'networks' | 'userAgentsToo' = 'userAgentsToo') =>
  parseValidityList(Buffer.from(text), 'LIST=file', holds);

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

  it('of data centres has no user agents', () => {
    expect(() => parse('user-agent: FooBot', 'networks')).toThrow(/line 1 is "user-agent: FooBot"/);
  });

  it('has limits', () => {
    const agents = Array.from({ length: listLimits.userAgents + 1 }, (_, i) => `user-agent: agent ${i}`);
    expect(() => parse(agents.join('\n'))).toThrow(`line ${listLimits.userAgents + 1} is one too many`);
    expect(parse(agents.slice(1).join('\n')).userAgents).toHaveLength(listLimits.userAgents);
    const networks = `${'192.0.2.1\n'.repeat(listLimits.networks)}192.0.2.2`;
    expect(() => parse(networks)).toThrow(`line ${listLimits.networks + 1} is one too many`);
    expect(() => parseValidityList(Buffer.alloc(listLimits.bytes + 1, '#'), 'L', 'networks')).toThrow('may have');
    expect(() => parseValidityList(Buffer.from([0x31, 0xff]), 'L', 'networks')).toThrow('must be UTF-8');
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

  it('that is broken ends the start', async () => {
    const path = put('nonsense\n');
    await expect(openFactLists({ ...configured, INGEST_DENY_FILE: path }, log)).rejects.toThrow(
      `INGEST_DENY_FILE=${path}: line 1 is "nonsense"`,
    );
  });
});
