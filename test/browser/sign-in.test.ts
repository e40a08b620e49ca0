/** Signing in to the dashboard in a real browser, where keys are needed, and managing keys. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { keysInMemory } from '../support/api-keys.ts';
import { openBrowser } from '../support/browser.ts';
import { type DashboardServer, startDashboard } from '../support/dashboard-server.ts';
import { viewerClock } from '../support/viewer-clock.ts';
import { desktop, phone, type Visitor, visit } from '../support/visitor.ts';
import { eventually } from '../support/wait.ts';

const stack = new AsyncDisposableStack();
const keys = keysInMemory();
let browser: Browser;
let server: DashboardServer;
let visitor: Visitor | undefined;

beforeAll(async () => {
  browser = await openBrowser();
  stack.defer(() => browser.close());
  server = stack.use(
    await startDashboard({ API_KEYS: 'required', ALLOWED_HOSTS: '*' }, { keys, appendKeyChange: keys.append }),
  );
  server.startCounting();
});
afterAll(() => stack[Symbol.asyncDispose]());
afterEach(async () => {
  await visitor?.[Symbol.asyncDispose]();
  visitor = undefined;
});

async function open(path: string, options: BrowserContextOptions = {}): Promise<Page> {
  visitor = await visit(browser, server.url, options);
  await visitor.goto(path);
  return visitor.page;
}

async function signIn(page: Page, text: string): Promise<void> {
  await page.locator('#api-key').fill(text);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

const revoke = async (text: string) =>
  await keys.append({ kind: 'revoked', id: text.slice(9, 25), at: Date.now(), by: 'somebody' });

/** What is no complaint: the console reports each answer of 401 and 403, and what is cut off. */
const unexpected = () =>
  visitor?.complaints.filter(text => !/status of 40[13]|ERR_INCOMPLETE_CHUNKED_ENCODING/.test(text));

/** All that a page of this origin could find later, or somebody over the shoulder. */
const kept = async (page: Page) => {
  const storage = await page.evaluate<string>(
    'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state, document.body.innerHTML])',
  );
  return storage + JSON.stringify(await page.context().cookies());
};

describe('where keys are needed', () => {
  it.each([
    ['desktop', desktop, 'light'],
    ['phone', phone, 'dark'],
  ] as const)('the page asks for one, and nobody is kept out by it: %s', async (name, viewport, colorScheme) => {
    const page = await open('/', { viewport, colorScheme });
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('api-key');
    expect(await page.locator('nav a:visible').count()).toBe(0);
    await visitor?.screenshot(`sign-in-${name}`);
    expect(await visitor?.barriers()).toEqual([]);
    await signIn(page, 'adclicks_nonsense');
    await page.getByRole('alert').getByText('whole key as it was shown').waitFor();
    expect(unexpected()).toEqual([]);
  });

  it('a key leads to the page that was asked for, live, and is kept nowhere', async () => {
    const text = keys.add({ scopes: ['read'], label: 'Ann of finance' });
    const page = await open('/?view=operations&zone=UTC');
    await signIn(page, text);
    await page.getByRole('heading', { name: 'Operations' }).waitFor();
    await page.locator('[aria-label="Partitions"] tbody tr').first().waitFor();
    await page.locator('#pulse[data-state="live"]').waitFor();
    expect(new URL(page.url()).search).toBe('?view=operations&zone=UTC');
    await page.reload();
    await page.getByRole('heading', { name: 'Operations' }).waitFor();
    const [cookie] = await page.context().cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/' });
    expect(await kept(page)).not.toContain(text.slice(26, 69));
    expect(unexpected()).toEqual([]);
  });

  it('the page says who is signed in, and signs out', async () => {
    const page = await open('/');
    await signIn(page, keys.add({ scopes: ['read', 'operate'], label: 'Ann of finance' }));
    await page.getByRole('button', { name: 'Ann of finance' }).click();
    const details = page.locator('#account-details');
    await details.getByText('May: read, operate.').waitFor();
    await visitor?.screenshot('signed-in');
    expect(await visitor?.barriers()).toEqual([]);
    await details.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(await page.getByText('You are signed out').count()).toBe(0);
    expect(await page.context().cookies()).toEqual([]);
    expect(await page.locator('.tile').count()).toBe(0);
    await page.reload();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  });

  it.each(['/?view=replay', '/'])(
    'a revocation ends the session and the live stream, and a new key goes on at %s',
    async path => {
      const [first, second] = [keys.add({ scopes: ['read'] }), keys.add({ scopes: ['read'], label: 'the next' })];
      const page = await open(path);
      await signIn(page, first);
      await page.locator('#pulse[data-state="live"]').waitFor();
      await revoke(first);
      await page.getByText('You are signed out: the session is over').waitFor();
      expect(new URL(page.url()).pathname + new URL(page.url()).search).toBe(path);
      expect(await page.context().cookies()).toEqual([]);
      await signIn(page, second);
      await page.getByRole('button', { name: 'the next' }).waitFor();
      await page.locator('#pulse[data-state="live"]').waitFor();
      await page.locator('h1', { hasText: path === '/' ? 'Overview' : 'Replay & reconcile' }).waitFor();
      expect(unexpected()).toEqual([]);
    },
  );

  it('a stream of live events that runs ends with its key, without another request', async () => {
    const text = keys.add({ scopes: ['read'] });
    const stream = await fetch(`${server.url}/v1/live`, { headers: { authorization: `Bearer ${text}` } });
    const reader = stream.body?.getReader();
    expect(stream.status).toBe(200);
    await reader?.read();
    await revoke(text);
    const end = async () => {
      for (;;) if ((await reader?.read())?.done !== false) return 'ended';
    };
    expect(await end().catch(() => 'cut off')).toMatch(/ended|cut off/);
  });
});

describe('two tabs of one browser', () => {
  /** A second tab, of the same session. */
  const beside = async (page: Page) => {
    const other = await page.context().newPage();
    await other.goto(`${server.url}/`);
    return other;
  };

  it('have the key of whoever signed in last, also its live numbers and what it may do', async () => {
    const [ann, bob] = ['Ann of finance', 'Bob of acme'];
    const page = await open('/');
    await signIn(page, keys.add({ scopes: ['read', 'operate'], label: ann }));
    await page.getByRole('button', { name: ann }).waitFor();
    await page.locator('#pulse[data-state="live"]').waitFor();
    const other = await beside(page);
    await other.getByRole('button', { name: ann }).waitFor();
    await page.goto('/?view=replay');
    await page.getByRole('button', { name: 'Recount' }).or(page.locator('form')).first().waitFor();
    const streams: string[] = [];
    page.on('request', request => void (request.url().includes('/v1/live') && streams.push(request.url())));
    // In the other tab, past the page for signing in, as a sign-in by an identity provider is.
    const text = keys.add({ scopes: ['read'], label: bob });
    await other.evaluate(
      `fetch('/v1/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ api_key: '${text}' }) })`,
    );
    await other.reload();
    await other.getByRole('button', { name: bob }).waitFor();
    await page.getByRole('button', { name: bob }).waitFor();
    await page.getByText('needs an API key with scope operate').or(page.locator('[data-lacks]')).first().waitFor();
    await eventually('the stream of the new key', async () => streams.length > 0);
    expect(unexpected()).toEqual([]);
  });

  it('are both signed out by a sign-out in one of them, at once and without a number left', async () => {
    const page = await open('/?view=ad');
    await signIn(page, keys.add({ scopes: ['read'], label: 'Ann of finance' }));
    await page.getByRole('button', { name: 'Ann of finance' }).waitFor();
    const other = await beside(page);
    await other.getByRole('button', { name: 'Ann of finance' }).click();
    await other.locator('#account-details').getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(await page.locator('.tile, .ranks li').count()).toBe(0);
    expect(unexpected()).toEqual([]);
  });
});

describe('a key with few scopes', () => {
  it('starts no job, and sees nothing about persons: the page says which scope that needs', async () => {
    const page = await open('/?view=replay');
    await signIn(page, keys.add({ scopes: ['read'], label: 'reader' }));
    const lacks = page.locator('[data-lacks]');
    await lacks
      .getByText(
        'Starting a recount or a comparison needs an API key with scope operate. The key “reader” does not have it.',
      )
      .waitFor();
    expect(await page.getByRole('button', { name: /Recount|Reconcile/ }).count()).toBe(0);
    await visitor?.goto('/?view=operations');
    await page.locator('[data-lacks="read:personal"]').getByText('Lines in quarantine').waitFor();
    expect(await page.locator('[data-export]').count()).toBe(0);
    await visitor?.goto('/?view=ad&ad=ad-1&event=e-1');
    await page.locator('#trail [data-lacks="read:personal"]').waitFor();
    await page.locator('[data-lacks="read:personal"]').nth(1).waitFor();
    expect(await page.getByRole('link', { name: 'Keys' }).count()).toBe(0);
    await visitor?.goto('/?view=keys');
    await page.locator('[data-lacks="admin"]').waitFor();
    expect(await visitor?.barriers()).toEqual([]);
    // It has not asked for what it could not get, either.
    expect(visitor?.complaints.filter(text => text.includes('403'))).toEqual([]);
  });

  it('has what its scopes allow', async () => {
    const page = await open('/?view=replay');
    await signIn(page, keys.add({ scopes: ['read', 'read:personal', 'operate'] }));
    await page.getByRole('button', { name: 'Recount (dry run)' }).waitFor();
    await visitor?.goto('/?view=operations');
    const download = page.waitForEvent('download');
    await page.locator('[data-export="CSV"]').click();
    expect((await download).suggestedFilename()).toMatch(/\.csv$/);
    expect(await page.locator('[data-lacks]').count()).toBe(0);
    expect(unexpected()).toEqual([]);
  });
});

describe('the page for keys', () => {
  it('makes a key that is shown once, rotates it, and revokes it after a question', async () => {
    const page = await open('/?view=keys');
    await signIn(page, keys.add({ scopes: ['admin'], label: 'the boss' }));
    await page.getByRole('link', { name: 'Keys' }).waitFor();
    await page.getByLabel('Label').fill('shop');
    await page.locator('input[value="read"]').check();
    await page.locator('select[name="lasts"]').selectOption('90');
    await page.getByRole('button', { name: 'Create' }).click();
    const secret = (await page.locator('[data-secret]').textContent()) ?? '';
    expect(keys.check(secret, Date.now())).toMatchObject({
      kind: 'right',
      key: { created: { label: 'shop', scopes: ['read'] } },
    });
    await visitor?.screenshot('key-made');
    expect(await visitor?.barriers()).toEqual([]);
    await page.getByRole('dialog').getByRole('button', { name: 'Copy' }).click();
    await stored(page);
    expect(await kept(page)).not.toContain(secret.slice(26));
    const row = page.locator('[aria-label="API keys"] tbody tr', { hasText: 'shop' });
    await row.getByText('usable').waitFor();
    await visitor?.screenshot('keys');
    expect(await visitor?.barriers()).toEqual([]);

    await row.getByRole('button', { name: 'Rotate…' }).click();
    await page.locator('select[name="overlap"]').selectOption('0');
    await page.getByRole('button', { name: 'Rotate', exact: true }).click();
    const next = (await page.locator('[data-secret]').textContent()) ?? '';
    expect([secret, next].map(text => keys.check(text, Date.now()).kind)).toEqual(['replaced', 'right']);
    await stored(page);

    await row.getByRole('button', { name: 'Revoke…' }).click();
    await page.getByRole('button', { name: 'Keep it' }).click();
    expect(keys.check(next, Date.now()).kind).toBe('right');
    await row.getByRole('button', { name: 'Revoke…' }).click();
    await page.getByRole('button', { name: 'Revoke', exact: true }).click();
    await row.getByText('revoked', { exact: true }).waitFor();
    expect(keys.check(next, Date.now()).kind).toBe('revoked');
    expect(await row.getByRole('button').count()).toBe(0);
    expect(unexpected()).toEqual([]);
  });

  it.each([-40, 3])(
    'makes a key for 30 days of the server, where the clock of the viewer is %i days ahead',
    async days => {
      visitor = await visit(browser, server.url);
      const { page } = visitor;
      await page.addInitScript(viewerClock(days * 86_400_000));
      await visitor.goto('/?view=keys');
      await signIn(page, keys.add({ scopes: ['admin'] }));
      const label = `for a month ${days}`;
      await page.getByRole('link', { name: 'Keys' }).waitFor();
      await page.getByLabel('Label').fill(label);
      await page.locator('input[value="read"]').check();
      await page.locator('select[name="lasts"]').selectOption('30');
      await page.getByRole('button', { name: 'Create' }).click();
      await page.locator('[data-secret]').waitFor();
      const made = keys.changes.find(change => change.kind === 'created' && change.label === label);
      const expiresAt = made?.kind === 'created' ? made.expires_at : undefined;
      expect(Math.abs(Number(expiresAt) - Date.now() - 30 * 86_400_000)).toBeLessThan(300_000);
    },
  );

  it('says what is wrong with what is asked for, and offers a prefix only where it holds', async () => {
    const page = await open('/?view=keys', { viewport: phone });
    await signIn(page, keys.add({ scopes: ['admin'], label: 'the boss' }));
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('alert').getByText('label is "", but must not be empty').waitFor();
    await page.getByLabel('Label').fill('shop clicks');
    await page.locator('input[value="ingest"]').check();
    await page.getByLabel('Only ads that begin with').fill('shop-');
    await visitor?.screenshot('keys-phone');
    expect(await visitor?.barriers()).toEqual([]);
    await page.getByRole('button', { name: 'Create' }).click();
    const secret = (await page.locator('[data-secret]').textContent()) ?? '';
    expect(keys.check(secret, Date.now())).toMatchObject({
      kind: 'right',
      key: { created: { ad_id_prefix: 'shop-' } },
    });
  });

  it('makes a key for one region, and says what is wrong with its name', async () => {
    const page = await open('/?view=keys');
    await signIn(page, keys.add({ scopes: ['admin'], label: 'the boss' }));
    await page.getByLabel('Label').fill('shop in Europe');
    await page.locator('input[value="ingest"]').check();
    const region = page.getByLabel('Only in region');
    // This service is in none.
    await page.getByText('it would refuse the key').waitFor();
    await region.fill('EU');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('alert').getByText('region is "EU"').waitFor();
    await region.fill('eu');
    await page.getByRole('button', { name: 'Create' }).click();
    const secret = (await page.locator('[data-secret]').textContent()) ?? '';
    expect(keys.check(secret, Date.now())).toMatchObject({ kind: 'right', key: { created: { region: 'eu' } } });
    await page.getByRole('dialog').getByRole('button', { name: 'Copy' }).click();
    await stored(page);
    const row = page.locator('[aria-label="API keys"] tbody tr', { hasText: 'shop in Europe' });
    await row.getByText('eu', { exact: true }).waitFor();
    // What was asked for once is not asked for again by the next key.
    expect(await region.inputValue()).toBe('');
    await page.getByLabel('Label').fill('shop anywhere');
    await page.locator('input[value="ingest"]').check();
    await page.getByRole('button', { name: 'Create' }).click();
    const next = (await page.locator('[data-secret]').textContent()) ?? '';
    expect(keys.check(next, Date.now())).toMatchObject({ kind: 'right' });
    expect(keys.check(next, Date.now())).not.toHaveProperty('key.created.region');
  });

  it('warns who revokes the own key, and signs out with it', async () => {
    const page = await open('/?view=keys');
    await signIn(page, keys.add({ scopes: ['admin'], label: 'my own' }));
    const row = page.locator('[aria-label="API keys"] tbody tr', { hasText: 'my own' });
    await row.getByText('(this browser)').waitFor();
    await row.getByRole('button', { name: 'Revoke…' }).click();
    await page.getByRole('dialog').getByText('You are signed in with this key').waitFor();
    await page.getByRole('button', { name: 'Revoke', exact: true }).click();
    await page.getByText('You are signed out').waitFor();
    expect(await page.getByRole('dialog').count()).toBe(0);
  });
});

describe('a page of another origin', () => {
  it.each([
    ['another site', 'localhost', false, 401],
    ['another port of the same host', '127.0.0.1', true, 403],
  ] as const)('changes nothing with the session of who looks at it: %s', async (_, host, hasCookie, status) => {
    const page = await open('/?view=keys');
    await signIn(page, keys.add({ scopes: ['admin'], label: 'lured' }));
    await page.getByRole('button', { name: 'lured' }).waitFor();
    const other = await page.context().newPage();
    // A browser has few connections to one host, and this page would keep some of them.
    await page.close();
    const before = keys.changes.length;
    const luring = createServer((_request, response) =>
      response.setHeader('content-type', 'text/html').end(lure(server.url)),
    );
    stack.defer(() => void luring.close());
    stack.defer(() => luring.closeAllConnections());
    await other.goto(`http://${host}:${await portOf(luring)}/`);
    const sent: Readonly<Record<string, string>>[] = [];
    other.on('request', async request => void sent.push(await request.allHeaders()));
    const answered = other.waitForResponse(`${server.url}/v1/keys`);
    // The page is left for another site, and so for another process of the browser, which would lose the answer to this.
    await other.evaluate('void setTimeout(() => document.forms[0].submit())');
    expect((await answered).status()).toBe(status);
    await eventually('what was sent', async () => sent.length > 0);
    expect(sent.map(headers => 'cookie' in headers)).toEqual(sent.map(() => hasCookie));
    expect(keys.changes.length).toBe(before);
    await other.close();
  });
});

async function portOf(luring: Server): Promise<number> {
  await once(luring.listen(0, '127.0.0.1'), 'listening');
  return (luring.address() as AddressInfo).port;
}

const lure = (url: string) =>
  `<form method="post" action="${url}/v1/keys" enctype="text/plain"><input name='{"label":"x","scopes":["admin"],"' value='":1}'></form>`;

async function stored(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'I have stored it' }).click();
  await page.locator('[data-secret]').waitFor({ state: 'detached' });
}
