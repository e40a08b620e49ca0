import { describe, expect, it } from 'vitest';
import { fixedLines } from '../../../../query-api/cli/fix-command.ts';
import type { QuarantinedLine } from '../../../../query-api/cli/quarantined-lines.ts';
import { type FieldMap, retriedClick } from '../../../../query-api/cli/retried-click.ts';

const line: QuarantinedLine = {
  ...{
    partition: 2,
    offset: 1_034,
    line: 7,
    reason: 'malformed',
    detail: '',
    appended_at: '',
    ad_id: '',
    event_id: '',
  },
  ...{ clicked_at: null, raw: '', outcome: 'not_counted' },
};
const retried = (raw: unknown, map: FieldMap = {}, given: Partial<QuarantinedLine> = {}) => {
  const click = retriedClick({ ...line, ...given }, typeof raw === 'string' ? raw : JSON.stringify(raw), map);
  return click.ok ? JSON.parse(click.json) : click.problem;
};

describe('a line that is retried', () => {
  it('keeps its own event_id, so that it counts once however often it is posted', () => {
    const click = { ad_id: 'a', event_id: 'e-1', clicked_at: 1, country: 'KR' };
    expect(retried(click)).toEqual(click);
    expect(retried(click, {}, { event_id: 'another' })).toEqual(click);
  });

  it('without an event_id gets one made of its place in the log, always the same', () => {
    const click = { ad_id: 'a', clicked_at: 1 };
    expect(retried(click)).toEqual({ ...click, event_id: 'quarantine-2-1034-7' });
    expect(retried(click)).toEqual(retried(click));
    expect(retried(click, {}, { line: 8 }).event_id).not.toBe(retried(click).event_id);
  });

  it('without a time does not get one, because it would get another one at the next try', () => {
    expect(retried({ ad_id: 'a', event_id: 'e' })).toBe('clicked_at is not given, but must be');
  });

  it('takes its fields from the fields that the map names', () => {
    const map = { ad_id: 'banner', clicked_at: 'time' };
    expect(retried({ banner: 'b', time: 5, event_id: 'e' }, map)).toMatchObject({ ad_id: 'b', clicked_at: 5 });
    expect(retried({ ad_id: 'own', clicked_at: 5 }, map)).toMatchObject({ ad_id: 'own' });
    expect(retried({ clicked_at: 5 }, { ad_id: '__proto__' }).ad_id).toBe(undefined);
  });

  it.each(['', 'not json', '[1]', 'null', '"text"'])('is refused if it is not a JSON object: %s', raw => {
    expect(retried(raw)).toBe('the line is not a JSON object');
  });

  it('says if its bytes are not text', () => {
    expect(retried('base64:gIE=')).toMatch(/not text/);
  });
});

describe('--fix', () => {
  it('corrects lines with a command, in their order', async () => {
    const lines = ["{'ad_id':'a'}", 'ü 🎉', ''];
    expect(await fixedLines(`sed s/\\'/\\"/g`, lines)).toEqual(['{"ad_id":"a"}', 'ü 🎉', '']);
  });

  it.each([
    ['exit 3', /ended with code 3/],
    ['head -1', /one line for each line that it reads \(it printed 1 for 2\)/],
    ['no-such-command 2> /dev/null', /ended with code 127/],
  ])('is refused if the command fails or loses lines: %s', async (command, why) => {
    await expect(fixedLines(command, ['a', 'b'])).rejects.toThrow(why);
  });

  it('takes more lines than a pipe holds', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i} ${'x'.repeat(50)}`);
    expect(await fixedLines('cat', lines)).toEqual(lines);
  });
});
