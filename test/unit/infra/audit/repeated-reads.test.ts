import { describe, expect, it } from 'vitest';
import type { Asked, AuditEntry } from '../../../../infra/audit/audit-record.ts';
import { ended, RepeatedReads, windowMs } from '../../../../infra/audit/repeated-reads.ts';

const asked = (fields: Partial<Asked> = {}): Asked => ({
  ...{ kind: 'read', by: 'key-1', name: 'a test', subject: '', address: '192.0.2.1' },
  ...{ action: 'GET /v1/quarantine', parameters: {} },
  ...fields,
});

function reads() {
  const repeatedReads = new RepeatedReads();
  const written: AuditEntry[] = [];
  const take = (fields: Partial<Asked>, now: number) =>
    repeatedReads.take(asked(fields), now, async entry => void written.push(entry));
  return { repeatedReads, written, take };
}

describe('reads that repeat one another', () => {
  it('share an entry for a minute, which is written at the first and says at the end how many they were', () => {
    const { repeatedReads, written, take } = reads();
    for (let i = 0; i < 500; i++) ended(take({}, i), i === 7 ? 404 : 200);
    expect(written).toMatchObject([{ requests: 1, at: 0, step: 0 }]);
    expect(repeatedReads.due(windowMs - 1)).toEqual([]);
    const [closed, ...others] = repeatedReads.due(windowMs);
    expect(others).toEqual([]);
    expect(closed).toMatchObject({ id: written[0]?.id, requests: 500, at: 0, until: 499, status: 404 });
    expect(closed?.step).toBeGreaterThan(0);
    take({}, windowMs);
    expect(written).toHaveLength(2);
    expect(written[1]?.id).not.toBe(written[0]?.id);
  });

  it.each([
    { by: 'key-2' },
    { address: '192.0.2.2' },
    { action: 'GET /v1/filters' },
    { parameters: { from: '1' } },
    { kind: 'refused' as const },
    { subject: 'somebody' },
  ])('do not share it with others: %j', other => {
    const { written, take } = reads();
    take({}, 0);
    take(other, 0);
    expect(written).toHaveLength(2);
  });

  it('of one asker open at most 16 entries and one for each action, whatever is asked', () => {
    const { repeatedReads, written, take } = reads();
    for (let i = 0; i < 10_000; i++) take({ parameters: { from: `${i}` }, address: `192.0.${i >> 8}.${i & 255}` }, i);
    take({ action: 'GET /v1/filters' }, 10_000);
    expect(written).toHaveLength(18);
    expect(written.slice(0, 17).at(-1)).toMatchObject({ parameters: {}, address: '', action: 'GET /v1/quarantine' });
    const requests = repeatedReads.due(Number.POSITIVE_INFINITY).reduce((sum, entry) => sum + entry.requests, 0);
    expect(requests).toBe(10_001);
    take({ parameters: { from: 'later' } }, 99_999);
    expect(written.at(-1)?.parameters).toEqual({ from: 'later' });
  });

  it('without an address are given back as all others are', () => {
    const { repeatedReads, written, take } = reads();
    for (let i = 0; i < 40; i++) {
      take({ kind: 'refused', action: `GET /v1/${i}`, address: '' }, i * windowMs);
      expect(repeatedReads.due((i + 1) * windowMs)).toHaveLength(1);
    }
    take({ parameters: { from: 'later' } }, 99 * windowMs);
    expect(written.at(-1)?.parameters).toEqual({ from: 'later' });
  });

  it('of very many askers close the oldest early, and lose none', () => {
    const { repeatedReads, take } = reads();
    const closed: AuditEntry[] = [];
    let most = 0;
    for (let i = 0; i < 10_000; i++) {
      take({ by: `key-${i}` }, i / 1_000);
      closed.push(...repeatedReads.due(i / 1_000));
      most = Math.max(most, repeatedReads.size);
    }
    expect(most).toBe(4_096);
    closed.push(...repeatedReads.due(Number.POSITIVE_INFINITY));
    expect(new Set(closed.map(({ by }) => by)).size).toBe(10_000);
  });

  it('open another entry after one that could not be written', () => {
    const { repeatedReads, written, take } = reads();
    repeatedReads.forget(take({}, 0));
    take({}, 1);
    expect(written).toHaveLength(2);
  });
});
