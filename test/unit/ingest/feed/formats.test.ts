import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { marked } from '../../../../infra/csv.ts';
import { formatOf } from '../../../../ingest/feed/formats.ts';
import { parseMap } from '../../../../ingest/feed/mapping.ts';
import { RowIds } from '../../../../ingest/feed/row-ids.ts';
import { rowTime } from '../../../../ingest/feed/row-time.ts';
import { countingIngest, type FeedTest, feedTest } from '../../../support/feeding.ts';

let directory = '';
let said = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'formats-'));
  said = '';
  vi.spyOn(process.stderr, 'write').mockImplementation(text => {
    said += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

/** The clicks of a file of this content, without ids that were made for them. */
async function fed(content: string | Buffer, { options, ...given }: Partial<FeedTest> = {}) {
  const file = join(directory, 'file');
  writeFileSync(file, content);
  const ingest = countingIngest();
  const all = { restart: true, lastLine: true, ...options };
  const { sum } = await feedTest({ directory, file, post: ingest.post, ...given, options: all });
  const clicks = ingest
    .clicks()
    .map(({ event_id, ...click }) => (/^[0-9a-f]{32}$/.test(String(event_id)) ? click : { ...click, event_id }));
  return { sum, clicks };
}

const at = 1_763_800_000_000;
const iso = '2025-11-22T08:26:40Z';

describe('access logs', () => {
  const alb = `https 2025-11-22T08:26:40.123456Z app/lb/50dc 203.0.113.7:2817 10.0.0.1:80 0.000 0.001 0.000 302 302 34 366 "GET https://x.example:443/click/ad-7?u=u%201&e=e-1 HTTP/1.1" "curl \\"7\\" 46" ECDHE TLSv1.2 arn:x "Root=1-5" "x.example" "-" 0 2025-11-22T08:26:39.9Z "forward" "-" "-"`;
  const combined = `203.0.113.7 - ann [22/Nov/2025:08:26:40 +0000] "GET /click/ad-7?u=u%201&e=e-1 HTTP/1.1" 302 5 "http://r/" "Mozilla/5.0 (X11)"`;
  const fields =
    '#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs-uri-query x-edge-request-id cs(User-Agent) cs(Referer)';
  const cloudfront = `#Version: 1.0\n${fields}\n2025-11-22\t08:26:40\tICN\t9\t203.0.113.7\tGET\tx\t/click/ad-7\t302\tu=u%201&e=e-1\tr-1==\tMozilla/5.0%20(X11;%20a+b)\thttps://r.example/x\n`;
  const w3c = `#Software: Microsoft Internet Information Services 10.0\n#Fields: date time cs-method cs-uri-stem cs-uri-query c-ip sc-status cs(User-Agent)\n2025-11-22 08:26:40 GET /click/ad-7 u=u%201&e=e-1 203.0.113.7 302 Mozilla/5.0+(X11)\n`;
  const click = { ad_id: 'ad-7', ip: '203.0.113.7', user_id: 'u 1', event_id: 'e-1' };
  const columnOf = { user_id: 'query:u', event_id: 'query:e' };

  it.each([
    ['combined', combined, '2025-11-22T08:26:40+00:00', { user_agent: 'Mozilla/5.0 (X11)', referrer: 'http://r/' }],
    ['alb', alb, '2025-11-22T08:26:40.123456Z', { user_agent: 'curl \\"7\\" 46' }],
    ['w3c', cloudfront, iso, { user_agent: 'Mozilla/5.0 (X11; a+b)', referrer: 'https://r.example/x' }],
    ['w3c', w3c, iso, { user_agent: 'Mozilla/5.0 (X11)' }],
  ] as const)(
    '%s: has ad, user and event of the URL, time, address and browser',
    async (format, content, clicked_at, browser) => {
      const { sum, clicks } = await fed(content, { mapping: { adId: 'path', columnOf } });
      expect(clicks).toEqual([{ ...click, clicked_at, ...browser }]);
      expect(sum).toBe('1 row = 1 accepted + 0 rejected');
      expect(said).toContain(`read as ${format}`);
    },
  );

  it('has the id that CloudFront gives each request', async () => {
    const options = { format: 'cloudfront' as const };
    const { clicks } = await fed(cloudfront, { mapping: { adId: 'path' }, options });
    expect(clicks).toMatchObject([{ event_id: 'r-1==' }]);
  });

  it('asks which ad a request belongs to', async () => {
    await expect(fed(combined)).rejects.toThrow(
      'combined: nothing says which ad a request belongs to; give --ad-id path',
    );
  });

  it('judges a line that was made to take long in no time', async () => {
    const evil = `a b ${'c ['.repeat(40_000)}${'"\\'.repeat(40_000)}`;
    expect((await fed(`${combined}\n${evil}\n`, { mapping: { adId: 'path' } })).sum).toBe(
      '2 rows = 1 accepted + 1 rejected',
    );
  });

  it.each([
    ['{"ad_id":1}', 'ndjson'],
    ['#Fields: date', 'w3c'],
    [alb, 'alb'],
    [combined, 'combined'],
    ['ad_id,clicked_at', 'csv'],
  ])('is told by its first line: %s', (line, format) => {
    expect(formatOf(line)).toBe(format);
  });
});

describe('CSV', () => {
  it.each([',', ';', '\t', '|'])('finds the delimiter %j in the header, whatever else its names have', async mark => {
    const content = [`"Ad, name"${mark}when`, `ad-1${mark}${at}`].join('\n');
    const { clicks } = await fed(content, { mapping: { columnOf: parseMap('ad_id=Ad, name,clicked_at=when') } });
    expect(clicks).toEqual([{ ad_id: 'ad-1', clicked_at: at }]);
  });

  it('takes blanks off where the header has them, and nowhere else', async () => {
    expect((await fed(`clicked_at, ad_id, event_id\n${at}, a, " e "\n`)).clicks).toMatchObject([
      { ad_id: 'a', event_id: ' e ' },
    ]);
    expect((await fed(`clicked_at,ad_id,event_id\n${at},a, e \n`)).clicks).toMatchObject([{ event_id: ' e ' }]);
  });

  it('has quotes as everybody writes them', async () => {
    const rows = [`"a",${at},"e ""1"""`, `a,${at},e "2"`, `a,${at},"e,3"`].join('\n');
    const { clicks } = await fed(`ad_id,clicked_at,event_id\n${rows}\n`);
    expect(clicks.map(({ event_id }) => event_id)).toEqual(['e "1"', 'e "2"', 'e,3']);
  });

  describe('with a record that spans lines', () => {
    const rows = [`a,${at},"e`, `1"`, `b,${at},e2`, `c,${at},"open`, `d,${at},e3`, `e,${at},"e4"`].join('\n');
    const content = `ad_id,clicked_at,event_id\n${rows}\n`;

    it('takes it where it is meant, and of one that does not close only the first line', async () => {
      const { sum, clicks } = await fed(content, { csv: { multiline: true } });
      expect(sum).toBe('5 rows = 4 accepted + 1 rejected');
      expect(clicks.map(({ ad_id, event_id }) => [ad_id, event_id])).toEqual([
        ['a', 'e\n1'],
        ['b', 'e2'],
        ['d', 'e3'],
        ['e', 'e4'],
      ]);
      expect(said).toContain(':5: a quote is not closed');
    });

    it('swallows no row between two quotes that nobody closes', async () => {
      const open = `ad_id,clicked_at,event_id\na,${at},"open\nb,${at},e1\nc,${at},"also\nd,${at},e2\n`;
      const { sum, clicks } = await fed(open, { csv: { multiline: true } });
      expect([sum, clicks.map(({ ad_id }) => ad_id)]).toEqual(['4 rows = 2 accepted + 2 rejected', ['b', 'd']]);
    });

    it('rejects each of its lines where it is not', async () => {
      expect((await fed(content)).sum).toBe('6 rows = 3 accepted + 3 rejected');
    });
  });

  it('leaves apostrophes in files of others, and takes those of an export off where it is told that it is one', async () => {
    const ids = ['-Vk3x9', "'own", "'=1", '＝1', 'plain'];
    const idsIn = async (cells: readonly string[], isExport: boolean) => {
      const rows = cells.map(id => `a,${at},"${id}"\n`);
      const { clicks } = await fed(`ad_id,clicked_at,event_id\n${rows.join('')}`, { csv: { isExport } });
      return clicks.map(({ event_id }) => event_id);
    };
    expect(await idsIn(ids, false)).toEqual(ids);
    expect(await idsIn(ids.map(marked), true)).toEqual(ids);
  });

  it('says which columns there are when one is missing', async () => {
    await expect(fed('a,b\n1,2\n')).rejects.toThrow(
      'there is no column ad_id (the columns are a, b); give --map ad_id=<column>',
    );
  });

  it('knows its header again where files were put behind one another', async () => {
    const file = `ad_id,clicked_at\na,${at}\n`;
    expect((await fed(file + file.replace('\na', '\nb'))).sum).toBe('2 rows = 2 accepted + 0 rejected');
  });
});

it('says what cannot be read, rather than read it as something else', async () => {
  await expect(fed('PAR1\0\0')).rejects.toThrow('is Parquet, which cannot be read');
});

describe('the mapping', () => {
  it('is the same for NDJSON, also of what lies within', async () => {
    const row = { banner: 'a', at: { click: at }, request: { url: '/c?u=u-1' }, cost: 5 };
    const columnOf = parseMap('ad_id=banner,clicked_at=at.click,url=request.url,user_id=query:u');
    expect((await fed(JSON.stringify(row), { mapping: { columnOf } })).clicks).toEqual([
      { ad_id: 'a', clicked_at: at, user_id: 'u-1' },
    ]);
    expect(said).toContain('"cost" is not a field of a click and is left out');
  });

  it('takes no column for one of a request that nobody has said is', async () => {
    const content = `ad_id,clicked_at,status,method\na,${at},paid,card\n`;
    expect((await fed(content)).sum).toBe('1 row = 1 accepted + 0 rejected');
    const columnOf = { status: 'status' };
    expect((await fed(content, { mapping: { columnOf } })).sum).toContain('1 skipped (1 by --status)');
  });

  it('says which pair is wrong', () => {
    expect(() => parseMap('ad_id=x,click=y')).toThrow('--map click=y');
  });
});

describe('rowTime', () => {
  it.each([
    [1_763_800_000, at, 'seconds'],
    ['1763800000.25', at + 250, 'seconds'],
    [at, at, undefined],
    [String(at), at, undefined],
    [at * 1_000 + 7, at, 'microseconds'],
    [`${at}000000`, at, 'nanoseconds'],
    ['22/Nov/2025:09:26:40 +0100', '2025-11-22T09:26:40+01:00', undefined],
    [iso, iso, undefined],
  ])('takes %s for %s', (value, time, unit) => {
    expect(rowTime(value)).toEqual(unit ? { time, unit } : { time });
  });

  it.each([0, 5, 999_999_999, 1e20, '99999999999999999999'])('refuses %s', value => {
    expect(rowTime(value)).toHaveProperty('problem');
  });

  it('is said, once, where it is not what ingest takes', async () => {
    await fed(`ad_id,clicked_at\na,1763800000\nb,1763800001\n`);
    expect(said.match(/clicked_at is in seconds: line 2 is of 2025-11-22T08:26:40.000Z/g)).toHaveLength(1);
  });
});

describe('RowIds', () => {
  it('remembers as many rows as it should, and tells of equal ones that stand far apart', () => {
    let told = 0;
    const ids = new RowIds(() => told++, 100);
    const first = ids.idOf('a');
    for (let i = 0; i < 99; i++) ids.idOf(`other ${i}`);
    expect(ids.idOf('a')).not.toBe(first);
    for (let i = 0; i < 180; i++) ids.idOf(`another ${i}`);
    ids.idOf('a');
    expect(told).toBe(1);
  });
});
