import { expect, it } from 'vitest';
import { isAsShown, shellBlocksOf } from '../support/shell-blocks.ts';

it('finds shell blocks with what they print', () => {
  const markdown = 'a\n\n```sh\nx\ny\n```\n\n```\n1\n```\n\n```sh\nz\n```\n\ntext\n\n```\nno output\n```\n';
  expect(shellBlocksOf(markdown)).toEqual([
    { script: 'x\ny\n', shown: '1\n' },
    { script: 'z\n', shown: undefined },
  ]);
});

it.each([
  ['a 1\nb', 'a …\nb\n', true],
  ['a 1\nb', 'a 2\nb\n', false],
  ['a   1\n', '  a 1\n', true],
  ['a\n', 'a\nb\n', false],
  ['a\nb\n', 'a\n', false],
  ['a\nb\nc\nd', 'a\n…\nd', true],
  ['a\nd', 'a\n…\nd', true],
  ['a\nb', 'a\n…\nd', false],
  ['(x.y)', '(x.y)', true],
  ['(xzy)', '(x.y)', false],
])('compares %j with what is shown, %j: %s', (printed, shown, expected) => {
  expect(isAsShown(printed, shown)).toBe(expected);
});
