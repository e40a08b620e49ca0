/** The facts of a click, and what is remembered of user agents. */
import { describe, expect, it } from 'vitest';
import { atOnce } from '../../../../infra/slices.ts';
import { FactFinder, type FactLists, mostRemembered } from '../../../../ingest/fact-finding/fact-finder.ts';
import { readValidityList } from '../../../../ingest/fact-finding/validity-list.ts';
import { factsText } from '../../../../ingest/validity/facts.ts';

const listOf = (text: string) => atOnce(readValidityList(Buffer.from(text), 'LIST', 'userAgentsToo'));
const chrome =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36';
const googlebot = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';

const datacentre = listOf('192.0.2.0/24\n2001:db8:1::/48');
const deny = listOf('198.51.100.7\nuser-agent: FooBrowser/');
const allow = listOf('192.0.2.9 # our monitor\nuser-agent: our browser');
const lists: FactLists = { datacentre: () => datacentre, deny: () => deny, allow: () => allow };

describe('the facts of a click', () => {
  it.each([
    ['203.0.113.7', chrome, undefined, ''],
    [undefined, undefined, undefined, ''],
    ['192.0.2.1', chrome, undefined, 'c'],
    ['::ffff:192.0.2.1', chrome, undefined, 'c'],
    ['2001:db8:1:2::3', undefined, undefined, 'c'],
    ['2001:db8:2::3', undefined, undefined, ''],
    ['192.0.2.9', chrome, undefined, 'ac'],
    ['203.0.113.7', googlebot, undefined, 'b'],
    ['203.0.113.7', 'curl/8.5.0', undefined, 'b'],
    ['203.0.113.7', `${chrome} Our Browser`, undefined, 'a'],
    ['198.51.100.7', chrome, undefined, 'd'],
    ['203.0.113.7', `${chrome} foobrowser/9`, undefined, 'd'],
    [undefined, chrome, 'prefetch', 'p'],
    [undefined, chrome, 'head', 'p'],
    ['0.0.0.0', chrome, undefined, 'i'],
    ['127.0.0.1', chrome, undefined, 'i'],
    ['224.0.0.251', chrome, undefined, 'i'],
    ['239.255.255.250', chrome, undefined, 'i'],
    ['240.0.0.1', chrome, undefined, ''],
    ['255.255.255.255', chrome, undefined, 'i'],
    ['::', chrome, undefined, 'i'],
    ['::1', chrome, undefined, 'i'],
    ['ff02::fb', chrome, undefined, 'i'],
    ['::ffff:127.0.0.1', chrome, undefined, 'i'],
    ['10.0.0.1', chrome, undefined, ''],
  ])('from %s with user agent %s and purpose %s are %j', (ip, agent, purpose, letters) => {
    expect(factsText(new FactFinder(lists).factsOf(ip, agent, purpose))).toBe(letters);
  });

  it('say that the user agent is missing only of a click that a browser has sent itself', () => {
    const finder = new FactFinder();
    expect(factsText(finder.factsOf('203.0.113.7', undefined, undefined))).toBe('');
    expect(factsText(finder.factsOf('203.0.113.7', undefined, undefined, true))).toBe('m');
    expect(factsText(finder.factsOf('203.0.113.7', chrome, undefined, true))).toBe('');
  });
});

describe('what is remembered', () => {
  it('is of the whole user agent, to its last letter', () => {
    const finder = new FactFinder();
    const long = `${chrome} ${'x'.repeat(512 - chrome.length - 5)}`;
    expect(factsText(finder.factsOf(undefined, `${long}abot`, undefined))).toBe('b');
    expect(factsText(finder.factsOf(undefined, `${long}aboy`, undefined))).toBe('');
    expect(factsText(finder.factsOf(undefined, `${long}abot`, undefined))).toBe('b');
  });

  it('is looked at once, and again after it was forgotten among many others', () => {
    const finder = new FactFinder();
    for (let i = 0; i < 3; i++) finder.factsOf(undefined, chrome, undefined);
    expect(finder.looks).toBe(1);
    for (let i = 0; i < 2 * mostRemembered; i++) finder.factsOf(undefined, `a${i}`, undefined);
    expect(finder.looks).toBe(1 + 2 * mostRemembered);
    finder.factsOf(undefined, chrome, undefined);
    expect(finder.looks).toBe(2 + 2 * mostRemembered);
  });

  it('is never more than two generations, and what is asked for stays', () => {
    const finder = new FactFinder();
    for (let i = 0; i < 3 * mostRemembered; i++) {
      finder.factsOf(undefined, `a${i}`, undefined);
      if (i % 1_000 === 0) finder.factsOf(undefined, chrome, undefined);
    }
    expect(finder.looks).toBe(1 + 3 * mostRemembered);
  });

  it('goes when a list changes', () => {
    let now = deny;
    const finder = new FactFinder({ deny: () => now });
    expect(factsText(finder.factsOf(undefined, `${chrome} FooBrowser/9`, undefined))).toBe('d');
    now = listOf('user-agent: another');
    expect(factsText(finder.factsOf(undefined, `${chrome} FooBrowser/9`, undefined))).toBe('');
    expect(factsText(finder.factsOf(undefined, `${chrome} another`, undefined))).toBe('d');
  });
});
