/** Several query APIs that change keys in the same moment, over one log that each of them reads by itself. */
import { describe, expect, it } from 'vitest';
import { KeyBook } from '../../../../infra/keys/key-book.ts';
import { mostKeyIds } from '../../../../infra/keys/key-claims.ts';
import type { KeyChange } from '../../../../infra/keys/key-record.ts';
import { createdKey, type WantedKey } from '../../../../infra/keys/new-key.ts';
import { Problem } from '../../../../infra/problem.ts';
import { createKeyChanges, type ShownOnce } from '../../../../query-api/routes/keys/key-changes.ts';
import { keyLogRecord } from '../../../support/api-keys.ts';

const turn = () => new Promise<void>(resolve => setImmediate(resolve));

function setUp() {
  const log: KeyChange[] = [];
  const processes: (() => void)[] = [];
  /** What is appended is there at once, and is read a moment later. */
  const append = async (change: KeyChange) => {
    await turn();
    log.push(change);
    setImmediate(() => {
      for (const read of processes) read();
    });
  };
  const build = ({ readsByItself = true } = {}) => {
    const book = new KeyBook();
    let next = 0;
    const read = () => {
      for (; next < log.length; next++) book.take(keyLogRecord(log[next] ?? expect.unreachable(), next));
    };
    if (readsByItself) processes.push(read);
    const readToEnd = async () => {
      await turn();
      read();
    };
    return { book, ...createKeyChanges({ book, readToEnd, append, now: Date.now }) };
  };
  return { log, append, build };
}

const wantedOf = (tenant: string, prefix: string): WantedKey => ({
  ...{ label: tenant, scopes: ['read'], tenant: { id: tenant, adIdPrefixes: [prefix] } },
});
const doer = { by: 'somebody' };
/** The status and code of each, and what was shown. */
const outcomesOf = async (asked: readonly Promise<ShownOnce>[]) => {
  const ended = await Promise.allSettled(asked);
  const said = ended.map(({ status, ...rest }) => {
    if (status === 'fulfilled') return 'made';
    const { reason } = rest as PromiseRejectedResult;
    return reason instanceof Problem ? `${reason.status} ${reason.code}` : String(reason);
  });
  return { said, shown: ended.flatMap(each => (each.status === 'fulfilled' ? [each.value] : [])) };
};

describe('keys of tenants with ads in common that are asked for at once', () => {
  const wanted = [wantedOf('a', 'race0-'), wantedOf('b', 'race0-'), wantedOf('c', 'race0-sub')];

  it('are one key where three processes make them, and all know the same one', async () => {
    const { log, build } = setUp();
    const apis = [build(), build(), build()];
    const { said, shown } = await outcomesOf(apis.map((api, i) => api.create(wanted[i] ?? expect.unreachable(), doer)));
    expect(said).toEqual(['made', '409 ads_taken', '409 ads_taken']);
    await turn();
    for (const { book } of apis) expect(book.list().map(({ id }) => id)).toEqual(shown.map(({ key }) => key.id));
    // Both others were written, and are marked.
    expect(log.map(({ kind }) => kind)).toEqual(['created', 'created', 'created', 'revoked', 'revoked']);
  });

  it('are one key where one process makes them, and nothing else is written', async () => {
    const { log, build } = setUp();
    const api = build();
    const { said } = await outcomesOf(wanted.map(each => api.create(each, doer)));
    expect(said).toEqual(['made', '400 invalid_parameter', '400 invalid_parameter']);
    expect(log).toHaveLength(1);
  });

  it('are decided by what others have written, also where that was not read yet', async () => {
    const { log, build } = setUp();
    const [first, second] = [build(), build({ readsByItself: false })];
    await first.create(wanted[0] ?? expect.unreachable(), doer);
    const { said } = await outcomesOf([second.create(wanted[1] ?? expect.unreachable(), doer)]);
    expect(said).toEqual(['400 invalid_parameter']);
    expect(log).toHaveLength(1);
  });
});

describe('rotations of one key that are asked for at once', () => {
  it.each(['by three processes', 'by one process'])('give one secret, and the present one goes on: %s', async by => {
    const { build } = setUp();
    const apis = [build(), build(), build()];
    const one = apis[0] ?? expect.unreachable();
    const { key } = await one.create({ label: 'x', scopes: ['read'] }, doer);
    const asked = apis.map(api => (by === 'by one process' ? one : api).rotate(key.id, 600_000, doer));
    const { said, shown } = await outcomesOf(asked);
    const refused = by === 'by one process' ? '409 overlap_runs' : '409 rotated_meanwhile';
    expect(said).toEqual(['made', refused, refused]);
    await turn();
    for (const { book } of apis) {
      const [newest, before] = book.get(key.id)?.secrets ?? [];
      expect(newest?.hash).toEqual(shown[0]?.key.secrets[0]?.hash);
      expect(before?.hash).toEqual(key.secrets[0]?.hash);
      expect((before?.until ?? 0) - Date.now()).toBeGreaterThan(590_000);
    }
  });

  it('show no secret of a key that is revoked in the same moment', async () => {
    const { build } = setUp();
    const [one, other] = [build(), build()];
    const { key } = await one.create({ label: 'x', scopes: ['read'] }, doer);
    const revoked = other.revoke(key.id, doer);
    const { said } = await outcomesOf([one.rotate(key.id, 600_000, doer)]);
    expect(said).toEqual(['409 key_ended']);
    expect((await revoked).revoked).toBeDefined();
  });
});

it("keys that became void use up nobody's place, and still come to an end, long before a reader halts", async () => {
  const { log, append, build } = setUp();
  const { book, create } = build();
  await create(wantedOf('first', 'taken-'), doer);
  // Each of them came second, of another process.
  const second = createdKey(wantedOf('second', 'taken-too-'), doer, Date.now()).change;
  const idOf = (i: number) => String(i).padStart(second.id.length, '0');
  for (let i = 1; i < mostKeyIds; i++) log.push({ ...second, id: idOf(i) });
  await append({ ...second, id: idOf(0) });
  const { said } = await outcomesOf([create({ label: 'x', scopes: ['read'] }, doer)]);
  expect([said, book.size, book.ids]).toEqual([['409 too_many_keys'], 1, mostKeyIds + 1]);
});

it('changes that wait for others have a limit', async () => {
  const { build } = setUp();
  const api = build();
  const { said } = await outcomesOf(
    Array.from({ length: 40 }, () => api.create({ label: 'x', scopes: ['read'] }, doer)),
  );
  expect([said.filter(each => each === 'made').length, said.at(-1)]).toEqual([33, '503 busy']);
});
