import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { notJudged } from '../../../aggregator/ad-minute.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../../aggregator/commit-metadata.ts';
import { type Checkpoint, freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import type { Output } from '../../../aggregator/core/output.ts';
import { PartitionAggregator } from '../../../aggregator/core/partition-aggregator.ts';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { click, minute0, ndjson } from '../../support/clicks.ts';
import { type OracleRecord, oracle } from '../../support/oracle.ts';
import { cellsOf, rowsOf } from '../../support/outputs.ts';

const settings = { partition: 3, outOfOrdernessMs: 15_000, allowedLatenessMs: 60_000, hashSeed: 7 };
const start = (from: Checkpoint = freshCheckpoint(0), given: Partial<typeof settings> = {}) =>
  new PartitionAggregator({ ...settings, ...given }, from);
const second = 1_000;

describe('counting', () => {
  it('counts a click once and its copies as duplicates', () => {
    const aggregator = start();
    const original = click({ adId: 'ad_7' });
    aggregator.process(
      0,
      minute0 + second,
      ndjson(original, click({ adId: 'ad_7' }), { ...original, clickId: '01K9ZZZZZZZZZZZZZZZZZZZZZZ' }),
    );
    expect(rowsOf(aggregator.drain())).toEqual([
      {
        minute: minute0 / 1000,
        ad_id: 'ad_7',
        country: 'KR',
        partition: 3,
        version: 1,
        clicks: 2,
        duplicates: 1,
        late: 0,
        ...notJudged,
      },
    ]);
  });

  it('counts two event ids that differ in one character as two clicks', () => {
    const aggregator = start();
    aggregator.process(
      0,
      minute0,
      ndjson(
        click({ eventId: `${'a'.repeat(31)}b` }),
        click({ eventId: `${'a'.repeat(31)}c` }),
        click({ eventId: 'a' }),
        click({ eventId: 'a ' }),
      ),
    );
    expect(rowsOf(aggregator.drain())[0]?.clicks).toBe(4);
  });

  it('takes the same event id in another minute for another click, for reconciliation to report', () => {
    const aggregator = start();
    aggregator.process(
      0,
      minute0,
      ndjson(click({ eventId: 'x' }), click({ eventId: 'x', clickedAt: minute0 + 60_000 })),
    );
    expect(rowsOf(aggregator.drain()).map(row => row.clicks)).toEqual([1, 1]);
  });

  it('takes the same event id under another ad for another click', () => {
    const aggregator = start();
    const copies = [click({ eventId: 'x', adId: 'b' }), click({ eventId: 'x', adId: 'b', country: 'DE' })];
    aggregator.process(0, minute0, ndjson(click({ eventId: 'x', adId: 'a' }), ...copies));
    expect(rowsOf(aggregator.drain()).map(row => [row.ad_id, row.country, row.clicks, row.duplicates])).toEqual([
      ['a', 'KR', 1, 0],
      ['b', 'KR', 1, 0],
      ['b', 'DE', 0, 1],
    ]);
  });

  it('takes no pair of ad and event id for another that has the border elsewhere, in whatever form the line is', () => {
    const aggregator = start();
    const foreign = (fields: object) => Buffer.from(`\n${JSON.stringify({ clicked_at: minute0, ...fields })}\n`);
    const lines = [
      ndjson(click({ adId: 'a', eventId: 'bc' }), click({ adId: 'ab', eventId: 'c' })),
      foreign({ event_id: 'ca', ad_id: 'b' }),
      foreign({ event_id: 'c', ad_id: 'ab' }),
    ];
    aggregator.process(0, minute0, Buffer.concat(lines));
    const rows = rowsOf(aggregator.drain());
    expect(rows.map(row => [row.ad_id, row.country, row.clicks, row.duplicates])).toEqual([
      ['a', 'KR', 1, 0],
      ['ab', 'KR', 1, 0],
      ['b', 'ZZ', 1, 0],
      ['ab', 'ZZ', 0, 1],
    ]);
  });

  it('writes absolute counts with the position as version, and only what has changed', () => {
    const aggregator = start();
    aggregator.process(0, minute0, ndjson(click({ adId: 'a' }), click({ adId: 'b' })));
    aggregator.drain();
    aggregator.process(1, minute0, ndjson(click({ adId: 'a' })));
    expect(rowsOf(aggregator.drain()).map(row => [row.ad_id, row.clicks, row.version])).toEqual([['a', 2, 2]]);
    expect(aggregator.drain().rows).toBe(0);
  });

  it('reads one plain JSON click per record in any field order', () => {
    const aggregator = start();
    aggregator.process(
      0,
      minute0,
      Buffer.from(JSON.stringify({ clicked_at: minute0, country: 'DE', extra: [1], ad_id: 'x', event_id: 'e' })),
    );
    expect(rowsOf(aggregator.drain())).toMatchObject([{ ad_id: 'x', country: 'DE', clicks: 1 }]);
  });

  it('splits many rows into chunks that hold whole lines', () => {
    const aggregator = start();
    aggregator.process(0, minute0, ndjson(...Array.from({ length: 12_000 }, (_, i) => click({ adId: `ad_${i}` }))));
    const output = aggregator.drain();
    expect(output.rowChunks.length).toBeGreaterThan(1);
    for (const chunk of output.rowChunks) expect(Buffer.from(chunk).toString()).toMatch(/^\[.*\]\n$/s);
    expect(rowsOf(output)).toHaveLength(12_000);
  });
});

describe('event time', () => {
  it('counts a click that arrives late but before its window is final', () => {
    const aggregator = start();
    aggregator.process(0, minute0 + 134_999, ndjson(click({ clickedAt: minute0 + 134_999 })));
    aggregator.process(1, minute0 + 134_999, ndjson(click({ adId: 'late' })));
    const output = aggregator.drain();
    expect(output.progress.watermark).toBe(minute0 + 119_999);
    expect(rowsOf(output).find(row => row.ad_id === 'late')).toMatchObject({ clicks: 1, late: 1 });
  });

  it('quarantines a click whose window is final as too_late, whole', () => {
    const aggregator = start();
    aggregator.process(0, minute0 + 135_000, ndjson(click({ clickedAt: minute0 + 135_000 })));
    const late = click({ adId: 'late', eventId: 'e-late' });
    aggregator.process(1, minute0 + 135_000, ndjson(late));
    expect(aggregator.drain().quarantined).toMatchObject([
      {
        partition: 3,
        offset: 1,
        line: 0,
        reason: 'too_late',
        ad_id: 'late',
        event_id: 'e-late',
        clicked_at: minute0,
        raw: formatLine(late),
      },
    ]);
  });

  it('clamps a clock that runs ahead to the append time', () => {
    const aggregator = start();
    aggregator.process(0, minute0, ndjson(click({ clickedAt: minute0 + 4 * 60_000 })));
    expect(aggregator.watermark).toBe(minute0 - 15_000);
  });

  it('quarantines a click more than 5 min ahead of the append time as future, and counts one exactly 5 min ahead', () => {
    const aggregator = start();
    aggregator.process(
      0,
      minute0,
      ndjson(click({ clickedAt: minute0 + 300_001 }), click({ clickedAt: minute0 + 300_000 })),
    );
    const output = aggregator.drain();
    expect(output.quarantined).toMatchObject([{ reason: 'future', line: 0 }]);
    expect(rowsOf(output)).toMatchObject([{ clicks: 1 }]);
    expect(aggregator.watermark).toBe(minute0 - 15_000);
  });

  it('moves the watermark by the append time of a tick', () => {
    const aggregator = start();
    aggregator.process(0, minute0, ndjson(click()));
    aggregator.process(1, minute0 + 135_000, null);
    expect(aggregator.drain().progress).toMatchObject({
      watermark: minute0 + 120_000,
      final_until: minute0 + 60_000,
      position: 2,
    });
    expect(aggregator.state.windows).toBe(0);
  });

  it('writes the last changes of a window that became final before they were written', () => {
    const aggregator = start();
    aggregator.process(0, minute0, ndjson(click()));
    aggregator.process(1, minute0 + 600_000, new Uint8Array(0));
    expect(rowsOf(aggregator.drain())).toMatchObject([{ clicks: 1, version: 2 }]);
  });

  it('quarantines lines that are no clicks, whole and with the reason', () => {
    const aggregator = start();
    aggregator.process(
      0,
      minute0,
      Buffer.concat([
        Buffer.from('{"ad_id":"a b","clicked_at":1}\n\n'),
        Buffer.from([0xff, 0xfe]),
        Buffer.from('\n{}'),
      ]),
    );
    expect(aggregator.drain().quarantined.map(q => [q.line, q.reason, q.detail, q.raw])).toEqual([
      [0, 'malformed', 'ad_id: must be 1 to 128 of A-Za-z0-9._:-', '{"ad_id":"a b","clicked_at":1}'],
      [1, 'malformed', 'not a line of UTF-8 JSON', `base64:${Buffer.from([0xff, 0xfe]).toString('base64')}`],
      [2, 'malformed', 'ad_id: must be 1 to 128 of A-Za-z0-9._:-', '{}'],
    ]);
  });
});

/** 0: the line is no click. */
function minuteIn(line: string): number {
  const at: number = /"clicked_at":(\d+),"received_at"/.test(line) ? JSON.parse(line).clicked_at : 0;
  return at - (at % 60_000);
}

/** A record as it might stand in the log: clicks around the present, copies, wild clocks, garbage, ticks. */
const ads = fc.constantFrom('a', 'b', 'c');
const lineAt = (now: number) =>
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc
        .tuple(ads, fc.integer({ min: -90_000, max: 2_000 }), fc.integer({ min: 0, max: 40 }))
        .map(([adId, age, id]) =>
          formatLine(click({ adId, clickedAt: now + age, eventId: `id${id}`, country: id % 2 ? 'KR' : 'US' })),
        ),
    },
    { weight: 1, arbitrary: fc.constant(formatLine(click({ clickedAt: now + 400_000 }))) },
    { weight: 1, arbitrary: fc.constant(formatLine(click({ clickedAt: now - 3_600_000 }))) },
    { weight: 1, arbitrary: fc.constantFrom('garbage', '{"ad_id":3}', '[]') },
  );
const log = fc.array(fc.integer({ min: 0, max: 40_000 }), { minLength: 1, maxLength: 30 }).chain(steps => {
  let now = minute0;
  return fc.tuple(
    ...steps.map(step => {
      now += step;
      const appendedAt = now;
      return fc.array(lineAt(appendedAt), { maxLength: 8 }).map(lines => ({ appendedAt, lines }));
    }),
  );
});

function run(
  records: readonly OracleRecord[],
  aggregator: PartitionAggregator,
  from: number,
  drainAt: (offset: number) => boolean,
): Output[] {
  const outputs: Output[] = [];
  for (const [offset, { appendedAt, lines }] of records.entries()) {
    if (offset < from) continue;
    aggregator.process(offset, appendedAt, Buffer.from(lines.join('\n')));
    if (drainAt(offset)) outputs.push(aggregator.drain());
  }
  outputs.push(aggregator.drain());
  return outputs;
}

describe('properties', () => {
  it('says what an independent count says, for any log', () => {
    fc.assert(
      fc.property(log, records => {
        const outputs = run(records, start(), 0, () => true);
        const expected = oracle(records, 15_000, 60_000);
        expect(cellsOf(outputs)).toEqual(expected.cells);
        expect(
          outputs.flatMap(o => o.quarantined.map(({ offset, line, reason }) => ({ offset, line, reason }))),
        ).toEqual(expected.quarantined);
        expect(outputs.at(-1)?.progress.watermark).toBe(expected.watermark);
        const { received, counted, duplicates, quarantined } = outputs.at(-1)!.progress;
        expect(received).toBe(counted + duplicates + quarantined);
        expect(received).toBe(records.reduce((sum, record) => sum + record.lines.length, 0));
      }),
      { numRuns: 500 },
    );
  });

  it('counts each ad as if it were alone, however ads with the same ids are mixed', () => {
    const posts = fc.array(
      fc.record({
        adId: ads,
        id: fc.integer({ min: 0, max: 12 }),
        country: fc.constantFrom('KR', 'DE'),
        minute: fc.integer({ min: 0, max: 1 }),
      }),
      { minLength: 1, maxLength: 80 },
    );
    fc.assert(
      fc.property(posts, fc.array(fc.nat({ max: 80 }), { maxLength: 20 }), fc.nat(), (given, borders, hashSeed) => {
        const clicks = given.map(({ adId, id, country, minute }) =>
          click({ adId, country, eventId: `${id}`, clickedAt: minute0 + minute * 60_000 + id }),
        );
        const rowsFor = (wanted: readonly Click[]) => {
          const aggregator = start(freshCheckpoint(0), { hashSeed });
          let from = 0;
          for (const [offset, to] of [...borders, wanted.length].toSorted((a, b) => a - b).entries()) {
            aggregator.process(offset, minute0 + 61_000, ndjson(...wanted.slice(from, to)));
            from = Math.max(from, Math.min(to, wanted.length));
          }
          return rowsOf(aggregator.drain()).map(row => JSON.stringify({ ...row, version: 0 }));
        };
        const alone = ['a', 'b', 'c'].flatMap(ad => rowsFor(clicks.filter(({ adId }) => adId === ad)));
        expect(rowsFor(clicks).toSorted()).toEqual(alone.toSorted());
        const distinct = new Set(clicks.map(c => `${c.adId} ${c.eventId} ${c.clickedAt}`));
        const counted = alone.reduce((sum, row) => sum + JSON.parse(row).clicks, 0);
        expect(counted).toBe(distinct.size);
      }),
      { numRuns: 300 },
    );
  });

  it('ends by the older rule what was begun by it: rows and counters of an upgrade at any commit are those of one rule per minute', () => {
    fc.assert(
      fc.property(log, fc.nat(), (records, at) => {
        const upgradeAt = at % records.length;
        const older = start({ ...freshCheckpoint(0), idsPerAdFrom: Number.MAX_SAFE_INTEGER });
        const before = run(records.slice(0, upgradeAt), older, 0, () => true);
        const { position, checkpoint } = before.at(-1)!;
        const { idsPerAdFrom: _, ...asItWasWritten } = JSON.parse(encodeCheckpoint(checkpoint));

        const newer = start(decodeCheckpoint(JSON.stringify(asItWasWritten)));
        for (let offset = newer.position; offset < position; offset++)
          newer.process(offset, records[offset]!.appendedAt, Buffer.from(records[offset]!.lines.join('\n')));
        newer.endRestore();
        const after = run(records, newer, upgradeAt, () => true);
        const { ids_per_ad_from, counted, duplicates } = after.at(-1)!.progress;
        const opened = records.slice(0, upgradeAt).flatMap(record => record.lines.map(minuteIn));
        for (const minute of opened)
          if (minute > 0 && minute < minute0 + 300_000) expect(minute).toBeLessThan(ids_per_ad_from ?? 0);

        const cells = cellsOf([...before, ...after]);
        expect(cells).toEqual(oracle(records, 15_000, 60_000, ids_per_ad_from ?? 0).cells);
        const sum = (field: 'clicks' | 'duplicates') => [...cells.values()].reduce((n, cell) => n + cell[field], 0);
        expect([sum('clicks'), sum('duplicates')]).toEqual([counted, duplicates]);
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same rows however often and wherever it commits', () => {
    fc.assert(
      fc.property(log, fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }), (records, commits) => {
        const once = run(records, start(), 0, () => false);
        const often = run(records, start(), 0, offset => commits[offset] === true);
        expect(cellsOf(often)).toEqual(cellsOf(once));
        expect(often.at(-1)?.progress).toEqual(once.at(-1)?.progress);
      }),
      { numRuns: 300 },
    );
  });

  it('is after a restore from any commit as if it had never stopped', () => {
    fc.assert(
      fc.property(log, fc.nat(), fc.nat(), (records, at, seed) => {
        const crashAt = at % records.length;
        const whole = start();
        const before = run(records.slice(0, crashAt), whole, 0, () => true);
        const { position, checkpoint } = before.at(-1)!;
        const after = run(records, whole, crashAt, () => true);

        const revived = start(decodeCheckpoint(encodeCheckpoint(checkpoint)), { hashSeed: seed });
        for (let offset = revived.position; offset < position; offset++) {
          revived.process(offset, records[offset]!.appendedAt, Buffer.from(records[offset]!.lines.join('\n')));
        }
        revived.endRestore();
        expect(revived.watermark).toBe(checkpoint.watermark);
        expect(revived.position).toBe(position);
        const again = run(records, revived, crashAt, () => true);
        expect(again.map(rowsOf)).toEqual(after.map(rowsOf));
        expect(again.map(o => ({ ...o, rowChunks: [] }))).toEqual(after.map(o => ({ ...o, rowChunks: [] })));
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same counts in every order within the bound', () => {
    const clicks = fc.array(fc.tuple(ads, fc.integer({ min: 0, max: 200_000 }), fc.integer({ min: 0, max: 30 })), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(
        clicks,
        fc.array(fc.integer({ min: 0, max: 14_999 }), { minLength: 40, maxLength: 40 }),
        (given, delays) => {
          // A copy shares its original's time, as ingest insists.
          const times = new Map(given.map(([, at, id]) => [id, at]));
          const all = given.map(([, , id]) =>
            click({ adId: `ad_${id % 3}`, clickedAt: minute0 + times.get(id)!, eventId: `id${id}` }),
          );
          const shuffled = all.map((c, i) => ({ c, at: c.clickedAt + delays[i]! })).sort((x, y) => x.at - y.at);
          const inOrder = all.map(c => ({ c, at: c.clickedAt })).sort((x, y) => x.at - y.at);
          const records = (list: readonly { c: Click; at: number }[]) =>
            list.map(({ c, at }) => ({ appendedAt: at, lines: [formatLine(c)] }));
          const final = (list: readonly { c: Click; at: number }[]) =>
            cellsOf(run(records(list), start(), 0, () => false));
          expect(final(shuffled)).toEqual(final(inOrder));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('keeps what was reported final, whatever bound and lateness it is started with again', () => {
    fc.assert(
      fc.property(
        log,
        fc.nat(),
        fc.integer({ min: 0, max: 600_000 }),
        fc.integer({ min: 0, max: 600_000 }),
        (records, at, outOfOrdernessMs, allowedLatenessMs) => {
          const crashAt = at % records.length;
          const before = run(records.slice(0, crashAt), start(), 0, () => true).at(-1)!;
          const revived = start(before.checkpoint, { outOfOrdernessMs, allowedLatenessMs });
          for (let offset = revived.position; offset < before.position; offset++) {
            revived.process(offset, records[offset]!.appendedAt, Buffer.from(records[offset]!.lines.join('\n')));
          }
          revived.endRestore();
          for (const output of run(records, revived, crashAt, () => true)) {
            expect(output.progress.watermark).toBeGreaterThanOrEqual(before.progress.watermark);
            expect(output.progress.final_until).toBeGreaterThanOrEqual(before.progress.final_until);
            for (const row of rowsOf(output))
              expect(row.minute * 1000).toBeGreaterThanOrEqual(before.progress.final_until);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
