/** Signing in to the dashboard with an identity provider, in a real browser. For it the provider is another site. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { keysInMemory } from '../support/api-keys.ts';
import { openBrowser } from '../support/browser.ts';
import { startDashboard } from '../support/dashboard-server.ts';
import { mailOf, startIdentityProvider, type TestIdentityProvider } from '../support/identity-provider.ts';
import { quietPort } from '../support/quiet-port.ts';
import { type Visitor, visit } from '../support/visitor.ts';

const stack = new AsyncDisposableStack();
const keys = keysInMemory();
const finance = keys.add({ scopes: ['read'], label: 'role: finance' });
const idOf = (text: string) => text.slice(9, 25);
let browser: Browser;
let url: string;
let provider: TestIdentityProvider;
let visitor: Visitor | undefined;

beforeAll(async () => {
  browser = await openBrowser();
  stack.defer(() => browser.close());
  const port = await quietPort();
  url = `http://127.0.0.1:${port}`;
  provider = stack.use(
    await startIdentityProvider(url, { ann: { groups: ['finance'] }, 'visitor-4711': { groups: ['visitors'] } }),
  );
  const env = { API_KEYS: 'required', ...provider.settingsFor(`finance=${idOf(finance)}`) };
  const server = stack.use(await startDashboard(env, { keys, appendKeyChange: keys.append }, port));
  server.startCounting();
});
afterAll(() => stack[Symbol.asyncDispose]());
afterEach(async () => {
  await visitor?.[Symbol.asyncDispose]();
  visitor = undefined;
});

async function open(path: string): Promise<Page> {
  visitor = await visit(browser, url);
  await visitor.goto(path);
  return visitor.page;
}

/** At the provider, as a person does it. */
async function signIn(page: Page, name: string): Promise<void> {
  await page.getByRole('link', { name: 'Sign in with your organisation' }).click();
  await page.getByLabel('Name').fill(name);
  await page.getByRole('button', { name: 'Go' }).click();
}

/** All that a page of this origin could find later, or somebody over the shoulder. */
const kept = async (page: Page) =>
  await page.evaluate<string>(
    'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, document.body.innerHTML])',
  );

/** The console reports each answer of 401, and what is cut off; and the provider is asked for. */
const unexpected = () =>
  visitor?.complaints.filter(
    text =>
      !/status of 401|ERR_INCOMPLETE_CHUNKED_ENCODING/.test(text) && !text.startsWith(`asked for ${provider.issuer}`),
  );

it('leads to the provider and back to where it was, live, until the key of the group is revoked', async () => {
  const page = await open('/?view=operations&zone=UTC');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await visitor?.screenshot('sign-in-with-provider');
  expect(await visitor?.barriers()).toEqual([]);
  await signIn(page, 'ann');
  await page.getByRole('heading', { name: 'Operations' }).waitFor();
  await page.locator('#pulse[data-state="live"]').waitFor();
  expect(page.url()).toBe(`${url}/?view=operations&zone=UTC`);
  const cookies = await page.context().cookies(url);
  expect(cookies).toMatchObject([{ name: 'adclicks_session', httpOnly: true, sameSite: 'Strict', path: '/' }]);
  const found = await kept(page);
  expect(found).not.toContain(mailOf('ann'));
  expect(found).not.toContain(cookies[0]?.value);
  await page.reload();
  await page.getByRole('heading', { name: 'Operations' }).waitFor();
  await keys.append({ kind: 'revoked', id: idOf(finance), at: Date.now(), by: 'somebody' });
  await page.getByText('You are signed out').waitFor();
  // The provider still knows who it is, and asks nothing.
  await page.getByRole('link', { name: 'Sign in with your organisation' }).click();
  await page.getByRole('alert').getByText('The API key that stands for your group was revoked').waitFor();
  expect(unexpected()).toEqual([]);
});

it('tells a person whose groups have no key what to do, at an address that says nothing about them', async () => {
  const page = await open('/?view=replay');
  await signIn(page, 'visitor-4711');
  await page.getByRole('alert').getByText('nobody has allowed your groups').waitFor();
  await visitor?.screenshot('sign-in-unmapped');
  expect(await visitor?.barriers()).toEqual([]);
  expect(page.url()).toBe(`${url}/?view=replay`);
  expect(await page.context().cookies(url)).toEqual([]);
  expect(await kept(page)).not.toContain('visitor-4711');
  expect(unexpected()).toEqual([]);
});

it('is not ended by a link that somebody else has begun', async () => {
  const page = await open('/');
  await page.goto(`${url}/v1/session/oidc/callback?code=of-somebody-else&state=of-somebody-else`);
  await page.getByRole('alert').getByText('This sign-in could not be ended').waitFor();
  expect(await page.context().cookies(url)).toEqual([]);
});
