import { describe, expect, it } from 'vitest';
import { aggregateRows } from '../../../aggregator/sink/aggregate-rows.ts';
import { rawRows } from '../../../aggregator/sink/raw-rows.ts';
import { formatLine } from '../../../ingest/click.ts';
import { erasedUntil } from '../../../ingest/privacy/erasure-record.ts';
import { click, minute0 } from '../../support/clicks.ts';
import { bookOf } from '../../support/erased-book.ts';

const at = minute0 + 60_000;
const book = bookOf(at, 'u-17');
const recordOf = (value: string, headers = {}) => ({
  offset: 7,
  timestamp: at + 600_000,
  value: Buffer.from(value),
  headers,
});
const rawOf = (value: string): Record<string, unknown>[] =>
  Buffer.concat(rawRows(0, [recordOf(value)], book))
    .toString()
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>);

describe('a click that is read from the log again', () => {
  const [erased, other] = ['u-17', 'u-18'].map(userId => formatLine(click({ userId, ip: '203.0.113.7' })));

  it('comes in erased, with everything that counts, between others that are copied', () => {
    const [first, kept, again] = rawOf(`${erased}\n${other}\n${erased}`);
    const { user_id: _, ip: address, ...counted } = JSON.parse(erased ?? '') as Record<string, unknown>;
    expect(first).toEqual({ ...counted, user_id: expect.stringMatching(/^erased:/), ip: expect.stringMatching(/^fd/) });
    expect(address).toBe('203.0.113.7');
    expect(again).toEqual(first);
    expect(kept).toEqual(JSON.parse(other ?? ''));
  });

  it('comes in erased in whatever form it was written, without what else is about the person', () => {
    const foreign = { ad_id: 'x', clicked_at: minute0, user_id: 'u-17', user_agent: 'Mozilla', referrer: 'https://a' };
    const [row] = rawOf(JSON.stringify(foreign));
    expect(row).toMatchObject({ ad_id: 'x', user_id: expect.stringMatching(/^erased:/) });
    expect(Object.keys(row ?? {})).not.toEqual(expect.arrayContaining([expect.stringMatching(/user_agent|referrer/)]));
  });

  it('stays as it is if it is of after the request', () => {
    const clicked = (clickedAt: number) => formatLine(click({ userId: 'u-17', clickedAt, receivedAt: clickedAt }));
    const later = clicked(erasedUntil(at));
    expect(rawOf(later)).toEqual([JSON.parse(later)]);
    expect(rawOf(clicked(erasedUntil(at) - 1))[0]).toMatchObject({ user_id: expect.stringMatching(/^erased:/) });
  });
});

it('a quarantined line that is read again comes in erased, and lines beside it stay the same bytes', () => {
  const line = (n: number, raw: string) =>
    JSON.stringify({
      partition: 0,
      offset: 1,
      line: n,
      reason: 'malformed',
      detail: 'user_id=u-17',
      appended_at: minute0,
      ad_id: '',
      event_id: '',
      clicked_at: 0,
      raw,
    });
  const lines = [line(0, '{"user_id":"u-17"'), line(1, '{"user_id":"u-18"}')];
  const records = [recordOf(`${lines.join('\n')}\n`, { kind: 'quarantine' })];
  const rows = new Map(
    [...aggregateRows({ topic: 'quarantine', partition: 0, records }, book)].map(([table, of]) => [table, of]),
  );
  const [first = '', second] = Buffer.concat([...(rows.get('quarantine') ?? [])])
    .toString()
    .split('\n');
  expect(second).toBe(lines[1]);
  expect(first).not.toContain('u-17');
  expect(JSON.parse(first)).toMatchObject({ line: 0, detail: 'erased', raw: expect.stringContaining('erased:') });
});
