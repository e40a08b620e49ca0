/** A key for the ads of one prefix: what is written with it, however a click is posted. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ClickBatch, createClickParser } from '../../../ingest/click-batch.ts';
import { bearer, keysInMemory } from '../../support/api-keys.ts';
import { clicksOf } from '../../support/clicks.ts';
import { ingest } from '../../support/documents.ts';

const receivedAt = Date.parse('2026-03-01T12:00:00Z');

function parsed(format: 'json' | 'ndjson', body: string, adIdPrefixes: readonly string[] | undefined): ClickBatch {
  const slices = createClickParser(1_000)[format](Buffer.from(body), { receivedAt, isStrict: false, adIdPrefixes });
  for (;;) {
    const { done, value } = slices.next();
    if (done) return value;
  }
}

/** Plain ones are copied, others are parsed. */
const asPlain = (adId: string) => `{"ad_id":"${adId}","event_id":"e","clicked_at":${receivedAt}}`;
const asUnusual = (adId: string) =>
  `{"ad_id":"\\u0${adId.charCodeAt(0).toString(16).padStart(3, '0')}${adId.slice(1)}"}`;

describe('clicks that are posted with a key for some ads', () => {
  it('are taken for those ads and rejected for others, plain or not, alone or among others', () => {
    const prefix = fc.stringMatching(/^[a-z.:-]{1,4}$/);
    const adId = fc.stringMatching(/^[a-z.:-]{1,6}$/).filter(id => id !== '.' && id !== '..');
    const click = fc.tuple(adId, fc.constantFrom(asPlain, asUnusual));
    fc.assert(
      fc.property(
        fc.array(prefix, { minLength: 1, maxLength: 3 }),
        fc.array(click, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        (begins, clicks, isJson) => {
          const isOurs = (id: string) => begins.some(begin => id.startsWith(begin));
          const lines = clicks.map(([id, write]) => write(id));
          const batch = isJson
            ? parsed('json', lines.length === 1 ? lines.join() : `[${lines.join(' ,')}]`, begins)
            : parsed('ndjson', lines.join('\n'), begins);
          const ids = clicks.map(([id]) => id);
          expect(clicksOf(batch.lines).map(taken => taken.adId)).toEqual(ids.filter(isOurs));
          const foreign = [...ids.entries()].filter(([, id]) => !isOurs(id)).map(([index]) => index);
          expect(batch.rejected.map(({ index, code }) => ({ index, code }))).toEqual(
            foreign.map(index => ({ index, code: 'forbidden_ad' })),
          );
        },
      ),
    );
  });

  it('says which ads the key is for', () => {
    const { rejected } = parsed('json', asPlain('other-1'), ['shop-']);
    expect(rejected).toEqual([
      {
        index: 0,
        code: 'forbidden_ad',
        message: 'ad_id is "other-1", but must begin with "shop-", as the API key is for those ads alone',
      },
    ]);
  });

  it.each([
    ['with a prefix', { adIdPrefix: 'shop-' }, '"shop-"'],
    ['of a tenant', { tenant: { id: 'shop', adIdPrefixes: ['shop-', 'kiosk.'] } }, '"shop-" or "kiosk."'],
  ])('are rejected by ingest if the key %s is for others', async (_, wanted, rule) => {
    const keys = keysInMemory();
    const http = await ingest({ API_KEYS: 'required' }, { keys });
    const post = async (adId: string, key: string) => {
      const headers = { ...bearer(key), 'content-type': 'application/json' };
      const answer = await http.inject({ method: 'POST', url: '/v1/clicks', headers, payload: { ad_id: adId } });
      return { status: answer.statusCode, rejected: answer.json().rejected };
    };
    const limited = keys.add({ scopes: ['ingest'], ...wanted });
    const { status, rejected } = await post('other-1', limited);
    expect({ status, rejected }).toMatchObject({
      status: 400,
      rejected: [{ code: 'forbidden_ad', message: expect.stringContaining(`must begin with ${rule}`) }],
    });
    await http.close();
  });

  it('are of any ad with a key that names none', () => {
    expect(parsed('json', asPlain('other-1'), undefined).lines.count).toBe(1);
  });
});
