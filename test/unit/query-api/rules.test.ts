/** /v1/rules over a rule book that reads a log in memory. */
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import { Retryable } from '../../../infra/errors.ts';
import type { Http } from '../../../infra/http.ts';
import { RulesRefused, soonestFrom } from '../../../ingest/hot-ads/announce-rules.ts';
import { HotAdConfig, hotAdTermsOf, tickRecord, validityRulesRecord } from '../../../ingest/hot-ads/rule.ts';
import { RuleBook } from '../../../ingest/hot-ads/rule-book.ts';
import { recommendedRules } from '../../../ingest/validity/rules.ts';
import { rulesText, versionText } from '../../../query-api/cli/rules-commands.ts';
import { styleFor } from '../../../query-api/cli/style.ts';
import type { ValidityRulesLog } from '../../../query-api/log/validity-rules.ts';
import { bearer, keysInMemory } from '../../support/api-keys.ts';
import { queryApi } from '../../support/documents.ts';
import { HotAdsLog, readOn } from '../../support/hot-ads-log.ts';

const minute = 60_000;
const begin = Date.parse('2026-03-01T12:00:30Z');
const terms = hotAdTermsOf(loadConfig(HotAdConfig, {}));
const keys = keysInMemory();
const operator = keys.add({ scopes: ['operate', 'read'], label: 'the operator' });
const reader = keys.add({ scopes: ['read'], label: 'the reader' });
const ofTenant = keys.add({ scopes: ['read'], label: 'acme', tenant: { id: 'acme', adIdPrefixes: ['acme-'] } });
const iso = (time: number) => new Date(time).toISOString();

let http: Http | undefined;
afterEach(() => http?.close());

/** A pipeline whose brokers and processes have the same clock. */
async function world(over: Partial<ValidityRulesLog> = {}) {
  const log = new HotAdsLog();
  const book = new RuleBook(terms);
  const state = { now: begin, serial: 0 };
  const read = async () => {
    log.append(tickRecord(terms), state.now);
    readOn(book, log);
    const at = (at: number) => book.rulesAt(at);
    return { versions: book.versions, at, soonestFrom: (now: number) => soonestFrom(now, terms) };
  };
  const validityRules: ValidityRulesLog = {
    read,
    async announce(asked) {
      const ruleId = `01K${String(++state.serial).padStart(23, '0')}`;
      log.append(validityRulesRecord({ ...asked, ruleId }, terms), state.now);
      return (await read()).versions.find(version => version.ruleId === ruleId)!;
    },
    ...over,
  };
  http = await queryApi({ API_KEYS: 'required' }, { keys, validityRules, now: () => state.now });
  const ask = async (method: 'GET' | 'POST', payload?: object, key = operator) => {
    const response = await http!.inject({
      ...{ method, url: '/v1/rules', headers: bearer(key) },
      ...(payload && { payload }),
    });
    return { status: response.statusCode, body: response.json() };
  };
  const announce = (fields: object = {}) => ask('POST', { rules: recommendedRules, note: 'to begin with', ...fields });
  return { state, ask, announce };
}

/** The first minute that may be asked for at `begin`. */
const first = soonestFrom(begin, terms) + minute;

describe('/v1/rules', () => {
  it('announces one version at a time, and refuses those that would wait behind many', async () => {
    const running: (() => void)[] = [];
    let most = 0;
    const { announce } = await world({
      async announce() {
        most = Math.max(
          most,
          running.push(() => undefined),
        );
        await new Promise(resolve => setImmediate(resolve));
        running.pop();
        throw new RulesRefused('there are too many');
      },
    });
    const answers = await Promise.all(Array.from({ length: 50 }, () => announce()));
    const countOf = (code: string) => answers.filter(({ body }) => body.code === code).length;
    expect([most, countOf('rules_refused'), countOf('client_busy')]).toEqual([1, 17, 33]);
  });

  it('lists nothing at first, with what is proposed', async () => {
    const { ask } = await world();
    expect((await ask('GET')).body).toEqual({
      ...{ in_force: 0, soonest_from: iso(first - minute), recommended: recommendedRules, total: 0, versions: [] },
    });
  });

  it('shows a version as announced, in force and replaced, and who has announced it', async () => {
    const { ask, announce, state } = await world();
    const { status, body } = await announce({ from: iso(first) });
    expect([status, body]).toEqual([
      201,
      {
        ...{ version: 1, state: 'announced', from: iso(first), rules: recommendedRules, note: 'to begin with' },
        ...{ announced_at: iso(begin), announced_by: operator.slice(9, 25) },
      },
    ]);
    await announce({ from: first + 5 * minute });
    state.now = first - 1;
    const states = async () => {
      const { in_force, versions } = (await ask('GET')).body;
      return [in_force, ...versions.map((version: { state: string }) => version.state)];
    };
    expect(await states()).toEqual([0, 'announced', 'announced']);
    state.now = first;
    expect(await states()).toEqual([1, 'announced', 'in_force']);
    state.now = first + 5 * minute;
    expect(await states()).toEqual([2, 'in_force', 'replaced']);
  });

  it('makes a draft of rules without a minute, which no minute takes', async () => {
    const { ask, announce, state } = await world();
    expect((await announce()).body).toMatchObject({ version: 1, state: 'draft', from: null });
    state.now = first + 24 * 60 * minute;
    expect((await ask('GET')).body).toMatchObject({ in_force: 0, total: 1 });
  });

  it('refuses rules with values of another type, instead of reading something into them', async () => {
    const { announce } = await world();
    const { status, body } = await announce({ rules: { ...recommendedRules, known_bot: 'true' } });
    expect([status, body.detail]).toEqual([400, expect.stringContaining('rules.known_bot')]);
  });

  it('refuses a minute that is too near, and says which one is the first', async () => {
    const { announce, ask } = await world();
    const { status, body } = await announce({ from: iso(first - minute) });
    expect(status).toBe(400);
    expect(body.detail).toContain(`must be ${iso(first)} or later`);
    expect((await ask('GET')).body.total).toBe(0);
  });

  it.each<[string, object, string]>([
    ['half a minute', { from: iso(first + 30_000) }, 'from'],
    ['a rule that is not known', { rules: { ...recommendedRules, moon: true } }, 'moon'],
    ['a rule that is missing', { rules: { denied: true } }, 'known_bot'],
    ['steps that do not divide a minute', { rules: { ...recommendedRules, double_click_seconds: 7 } }, 'double_click'],
    ['no note', { note: undefined }, 'note'],
  ])('refuses %s, and names the field', async (_, fields, named) => {
    const { announce } = await world();
    const { status, body } = await announce({ from: iso(first), ...fields });
    expect(status).toBe(400);
    expect(body.detail).toContain(named);
  });

  it('says to a key without operate, to a tenant and to a log that is away what each may know', async () => {
    const { ask, announce } = await world();
    expect((await ask('POST', { rules: recommendedRules, note: 'x' }, reader)).status).toBe(403);
    await announce();
    expect((await ask('GET', undefined, ofTenant)).body.versions).toMatchObject([{ version: 1, announced_by: null }]);
    await http?.close();
    const away = await world({ read: () => Promise.reject(new Retryable('the broker is away')) });
    expect((await away.ask('GET')).status).toBe(503);
  });

  it('says why an announcement was refused that came too late after all', async () => {
    const announceLate = () => Promise.reject(new RulesRefused('they came too late: they are version 3'));
    const { announce } = await world({ announce: announceLate });
    expect(await announce({ from: iso(first) })).toMatchObject({ status: 409, body: { code: 'rules_refused' } });
  });
});

describe('adclicks rules', () => {
  const style = styleFor({ isTerminal: false, hasColour: false });

  it('prints versions and what one says', async () => {
    const { ask, announce } = await world();
    const { body } = await announce({ note: 'a\u001b[2J note' });
    const list = rulesText((await ask('GET')).body, style);
    expect(list).toContain('no rules: every click is valid');
    expect(list).toMatch(/1\s+draft\s+-\s+2026-03-01T12:00:30Z/);
    expect(list).not.toContain('\u001b');
    const said = versionText(body);
    expect(said).toMatch(/known_bot\s+invalid/);
    expect(said).toMatch(/ad_clicks_per_minute\s+no rule/);
    expect(said).toMatch(/user_clicks_per_minute\s+10/);
  });
});
