import { describe, expect, it } from 'vitest';
import { type Line, LineSplitter, maxLineBytes } from '../../../../ingest/feed/line.ts';

function linesOf(content: string | Buffer, pieceBytes: number): Line[] {
  const bytes = Buffer.from(content);
  const splitter = new LineSplitter({ offset: 0, line: 0 });
  const lines: Line[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes)
    lines.push(...splitter.push(bytes.subarray(at, at + pieceBytes)));
  const rest = splitter.rest();
  return rest ? [...lines, rest] : lines;
}

const text = 'é,1\r\n\n\ufeffb\nnot ended';
const utf16be = Buffer.from(`\ufeff${text}`, 'utf16le').swap16();

describe('LineSplitter', () => {
  it.each([1, 2, 3, 7, 1_000])('finds the same lines in pieces of %i bytes, in every encoding', pieceBytes => {
    for (const content of [text, `\ufeff${text}`, Buffer.from(`\ufeff${text}`, 'utf16le'), utf16be])
      expect(linesOf(content, pieceBytes).map(line => [line.number, line.text, line.isEnded, line.problem])).toEqual([
        [1, 'é,1\r', true, undefined],
        [2, '', true, undefined],
        [3, 'b', true, undefined],
        [4, 'not ended', false, undefined],
      ]);
  });

  it('has each line begin where the one before ends', () => {
    for (const content of [Buffer.from(text), utf16be]) {
      const lines = linesOf(content, 5);
      expect(lines.map(({ start }) => start)).toEqual([0, ...lines.slice(0, -1).map(({ end }) => end)]);
    }
  });

  it('keeps little of a line that is too long, and reads on behind it', () => {
    const [long, next] = linesOf(`${'x'.repeat(5_000_000)}\nb\n`, 65_536);
    expect([long?.problem, long?.bytes.length]).toEqual([`longer than ${maxLineBytes} bytes`, maxLineBytes + 1]);
    expect([next?.text, next?.start]).toEqual(['b', 5_000_001]);
  });

  it('leaves out NULs before a line, however many, and none within', () => {
    const lines = linesOf(`a\n${'\0'.repeat(2 * maxLineBytes)}b\0c\n`, 65_536);
    expect(lines.map(line => [line.text, line.problem])).toEqual([
      ['a', undefined],
      ['b\0c', undefined],
    ]);
  });

  it('says what is in no encoding that it knows', () => {
    expect(linesOf(Buffer.from([0x61, 0xff, 0x0a]), 9)[0]?.problem).toBe('not UTF-8');
    expect(linesOf(Buffer.from([0xff, 0xfe, 0x00, 0xd8, 0x61, 0x00, 0x0a, 0x00]), 9)[0]?.problem).toBe('not UTF-16LE');
  });
});
