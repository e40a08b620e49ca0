import { describe, expect, it } from 'vitest';
import { csvLine } from '../../../../infra/csv.ts';
import { csvRows, parseMap } from '../../../../ingest/feed/csv-rows.ts';
import { clickColumns, quarantineColumns } from '../../../../ingest/feed/exported-columns.ts';
import { maxLineBytes, ndjsonRows } from '../../../../ingest/feed/ndjson-rows.ts';
import { prepareRow, type Row } from '../../../../ingest/feed/row.ts';

/** The text in pieces of `size` bytes: borders fall anywhere. */
async function* pieces(text: string | Buffer, size = 7, from = 0): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = from; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(rows: AsyncIterable<Row>): Promise<Row[]> {
  const collected: Row[] = [];
  for await (const row of rows) collected.push(row);
  return collected;
}

const start = { offset: 0, line: 0 };
const csv = { delimiter: ',', columnOf: {} };

describe('ndjsonRows', () => {
  const text = '{"ad_id":"é"}\r\n\n{"ad_id":"b"}\n[1]\n{"ad_id":"c"}';

  it.each([1, 2, 3, 7, 100])('finds the same rows in pieces of %i bytes', async size => {
    const rows = await collect(ndjsonRows(pieces(text, size), start));
    expect(rows.map(({ line, fields }) => [line, fields?.['ad_id']])).toEqual([
      [1, 'é'],
      [3, 'b'],
      [4, undefined],
      [5, 'c'],
    ]);
    expect(rows.map(row => Buffer.from(text).subarray(row.start, row.end).toString().trim())).toEqual(
      rows.map(row => row.raw.trim()),
    );
  });

  it('goes on from any row as if it had never stopped', async () => {
    const all = await collect(ndjsonRows(pieces(text), start));
    for (const [i, row] of all.entries()) {
      const rest = await collect(ndjsonRows(pieces(text, 7, row.end), { offset: row.end, line: row.line }));
      expect(rest).toEqual(all.slice(i + 1));
    }
  });

  it('keeps little of a line that is too long, and reads on behind it', async () => {
    const rows = await collect(ndjsonRows(pieces(`${'x'.repeat(5_000_000)}\n{"ad_id":"b"}\n`, 65_536), start));
    expect(rows.map(row => row.fields?.['ad_id'])).toEqual([undefined, 'b']);
    expect(rows[0]!.raw.length).toBeLessThanOrEqual(maxLineBytes + 1);
    expect(rows[1]!.start).toBe(5_000_001);
  });

  it('has the clicks of our own exports as they were: what is empty was not given, of quarantine the whole line', async () => {
    const click = { event_id: '-e', ad_id: 'a', clicked_at: '2026-03-01T12:00:00.001Z', country: 'KR' };
    const exported = { ...Object.fromEntries(clickColumns.map(name => [name, ''])), ...click };
    const line = (raw: string) =>
      JSON.stringify({ raw, ...Object.fromEntries(quarantineColumns.map(name => [name, name === 'raw' ? raw : 1])) });
    const whole = { ...click, user_id: 'u', ip: '203.0.113.7' };
    const others = { event_id: 'e', ad_id: 'a', user_id: '' };
    const { event_id: _, ...nameless } = whole;
    const lines = [
      ...[JSON.stringify(exported), line(JSON.stringify(whole)), line(JSON.stringify(nameless)), line('{"ad_id')],
      JSON.stringify(others),
    ];
    const rows = await collect(ndjsonRows(pieces(lines.join('\n')), start));
    expect(rows.map(({ fields, problem }) => fields ?? problem)).toEqual([
      click,
      whole,
      { ...nameless, event_id: 'quarantine-1-1-1' },
      'raw: not a JSON object',
      others,
    ]);
  });

  it('reports a line that is not UTF-8', async () => {
    const rows = await collect(ndjsonRows(pieces(Buffer.from([0x22, 0xff, 0x22, 0x0a])), start));
    expect(rows[0]!.problem).toBe('not UTF-8');
  });
});

describe('csvRows', () => {
  const text =
    'banner,when,country\r\nad-1,1763800000000,KR\r\n"ad\n2",2026-01-01T00:00:00Z,\r\nad-3,5,US,more\r\n\r\nad-é,6,JP\r\n';
  const mapped = { delimiter: ',', columnOf: parseMap('ad_id=banner,clicked_at=when') };

  it('maps columns to fields and reports rows of another width', async () => {
    const rows = await collect(csvRows(pieces(text), start, mapped));
    expect(rows.map(row => row.fields ?? row.problem)).toEqual([
      { ad_id: 'ad-1', clicked_at: 1_763_800_000_000, country: 'KR' },
      { ad_id: 'ad\n2', clicked_at: '2026-01-01T00:00:00Z' },
      '4 columns where the header has 3',
      { ad_id: 'ad-é', clicked_at: 6, country: 'JP' },
    ]);
    expect(rows.at(-1)!.end).toBe(Buffer.byteLength(text));
  });

  it('goes on from any row as if it had never stopped', async () => {
    const all = await collect(csvRows(pieces(text), start, mapped));
    for (const [i, row] of all.entries()) {
      const place = { offset: row.end, line: row.line };
      const rest = await collect(csvRows(pieces(text, 7, row.end), place, mapped, ['banner', 'when', 'country']));
      expect(rest).toEqual(all.slice(i + 1));
    }
  });

  describe('with apostrophes', () => {
    const ids = ['-Vk3x9', "'own", "'=1", '＝1', 'plain'];
    const fileOf = (columns: readonly string[], line: (values: string[]) => string) =>
      [columns.join(','), ...ids.map(id => line(columns.map(name => (name === 'clicked_at' ? '5' : id))).trim())].join(
        '\n',
      );
    const idsIn = async (text: string, options: Parameters<typeof csvRows>[2] = csv) =>
      (await collect(csvRows(pieces(text), start, options))).map(({ fields }) => fields?.['event_id']);

    it('has the ids of exported clicks as they were', async () => {
      expect(await idsIn(fileOf(clickColumns, csvLine))).toEqual(ids);
    });

    it('has quarantined lines whole, whatever is told beside them', async () => {
      const lines = ids.map(event_id => ({ event_id, ad_id: 'a', clicked_at: 5, user_id: '=u' }));
      const cells = [...lines.map(click => JSON.stringify(click)), '=no JSON'].map(raw =>
        csvLine(quarantineColumns.map(name => (name === 'raw' ? raw : name === 'clicked_at' ? null : '-'))),
      );
      const text = `${quarantineColumns.join(',')}\n${cells.join('')}`;
      const rows = await collect(csvRows(pieces(text), start, csv));
      expect(rows.map(({ fields, problem }) => fields ?? problem)).toEqual([...lines, 'raw: not a JSON object']);
    });

    it('goes on in the middle of an export by the same rule', async () => {
      const text = fileOf(clickColumns, csvLine);
      const [first] = await collect(csvRows(pieces(text), start, csv));
      const place = { offset: first?.end ?? 0, line: first?.line ?? 0 };
      const rest = await collect(csvRows(pieces(text, 7, place.offset), place, csv, clickColumns));
      expect(rest.map(({ fields }) => fields?.['event_id'])).toEqual(ids.slice(1));
    });

    it('takes none off in files of others, where it is part of the id', async () => {
      const others = fileOf(['event_id', 'ad_id', 'clicked_at'], values => values.join(','));
      expect(await idsIn(others)).toEqual(ids);
    });

    it('takes them off in an export whose columns were changed, if it is told that it is one', async () => {
      const cut = fileOf(['event_id', 'ad_id', 'clicked_at'], csvLine);
      expect(await idsIn(cut, { ...csv, isExport: true })).toEqual(ids);
    });
  });

  it('says which columns there are when one is missing', async () => {
    await expect(collect(csvRows(pieces('a,b\n1,2\n'), start, csv))).rejects.toThrow(
      /no column ad_id \(the columns are a, b\)/,
    );
  });

  it('says which pair of --map is wrong', () => {
    expect(() => parseMap('ad_id=x,click=y')).toThrow(/--map click=y/);
  });
});

describe('prepareRow', () => {
  const row: Row = { line: 1, start: 0, end: 10, raw: 'raw', fields: { ad_id: 'a', clicked_at: 5 } };
  const eventIdOf = (changed: Partial<Row>, fileName = 'a.log') => {
    const prepared = prepareRow({ ...row, ...changed }, { fileName });
    return prepared.ok ? JSON.parse(prepared.json).event_id : undefined;
  };

  it('gives a row without event_id the same one each time', () => {
    expect(eventIdOf({})).toMatch(/^[0-9a-f]{32}$/);
    expect(eventIdOf({})).toBe(eventIdOf({ line: 9 }));
  });

  it('gives equal rows at different places, and rows of different files, different event_ids', () => {
    expect(
      new Set([eventIdOf({}), eventIdOf({ start: 10 }), eventIdOf({ raw: 'other' }), eventIdOf({}, 'b.log')]).size,
    ).toBe(4);
  });

  it('keeps the event_id of a row that has one', () => {
    expect(eventIdOf({ fields: { ad_id: 'a', clicked_at: 5, event_id: 'mine' } })).toBe('mine');
  });

  it('rejects a row without a time', () => {
    expect(prepareRow({ ...row, fields: { ad_id: 'a', event_id: 'e' } }, { fileName: 'a' })).toMatchObject({
      ok: false,
      code: 'missing_field',
    });
  });

  it('puts the moment of sending in place of the time when replaying, and leaves the event_id as it was', () => {
    const prepared = prepareRow(row, { fileName: 'a.log', clickedAt: 77 });
    expect(prepared.ok && JSON.parse(prepared.json)).toEqual({ ad_id: 'a', clicked_at: 77, event_id: eventIdOf({}) });
  });
});
