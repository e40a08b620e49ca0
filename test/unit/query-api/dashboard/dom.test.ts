/** What the dashboard shows of texts from outside. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const { visible }: { visible(text: string): string } = await import(
  join(import.meta.dirname, '../../../../query-api/dashboard/dom.js')
);

describe('a text from outside', () => {
  it.each([
    ['order-1\u200b', 'order-1\\u200b'],
    ['order\u200d-1', 'order\\u200d-1'],
    ['\u200corder-1', '\\u200corder-1'],
    ['acme\u202e1-gpj', 'acme\\u202e1-gpj'],
    ['a\u2067b\u2069', 'a\\u2067b\\u2069'],
    ['a\ufeffb\u00adc\u0007d', 'a\\ufeffb\\u00adc\\u0007d'],
  ])('shows the code of what nobody would see: %j', (text, shown) => {
    expect(visible(text)).toBe(shown);
  });

  it.each([
    'summer-0.banner',
    'עברית and العربية',
    'می\u200cخواهم',
    '\u{1f469}\u200d\u{1f4bb} Ann',
    'two\nlines\tand a tab',
    '\u200e-5\u200f',
    '',
  ])('stays as it is where all of it is seen: %j', text => {
    expect(visible(text)).toBe(text);
  });
});
