/** Somebody who looks at the dashboard, and notices what a person would not: errors in the console, requests elsewhere. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

export interface Visitor extends AsyncDisposable {
  readonly page: Page;
  /** What went wrong so far: console errors, exceptions, what the policy has refused, requests to other hosts. */
  readonly complaints: string[];
  goto(path: string): Promise<void>;
  /** Into the folder of artefacts, which git ignores; with `npm run screenshots` the pictures of the documents as well. */
  screenshot(name: string): Promise<void>;
  /** Rules of accessibility that are broken seriously, with where. */
  barriers(): Promise<string[]>;
}

export const desktop = { width: 1440, height: 900 };
export const phone = { width: 390, height: 844 };

const artefacts = join(import.meta.dirname, '../artifacts/dashboard');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The pictures of the documents are being made: pages get the time to look as they do in use. */
export const isTour = process.env['SCREENSHOTS'] === 'tour';
const tour = join(import.meta.dirname, '../../infra/tour');
const inReadme = new Set([
  ...['overview-light-desktop', 'overview-dark-desktop', 'overview-light-phone'],
  ...['ad-light-desktop', 'operations-light-desktop', 'replay-diff'],
]);

/** Small, and without the empty ground below the last card; of a phone, what its screen shows. */
async function picture(page: Page, name: string): Promise<void> {
  const { width, height } = page.viewportSize() ?? desktop;
  const bottom = await page.evaluate<number>(
    'Math.max(...[...document.querySelectorAll(".card")].map(card => card.getBoundingClientRect().bottom + scrollY))',
  );
  const clip = { x: 0, y: 0, width, height: name.endsWith('phone') ? height : Math.ceil(bottom) + 16, scale: 1 };
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', {
    ...{ format: 'webp', quality: 80, captureBeyondViewport: true },
    clip,
  });
  mkdirSync(tour, { recursive: true });
  writeFileSync(join(tour, `${name.replace('-desktop', '')}.webp`), Buffer.from(data, 'base64'));
}

export async function visit(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visitor> {
  const context = await browser.newContext({
    viewport: desktop,
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    baseURL: url,
    ...options,
  });
  // As everywhere (wait.ts): how long a busy machine takes says nothing.
  context.setDefaultTimeout(240_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', message => {
    if (!['error', 'warning'].includes(message.type())) return;
    complaints.push(`${message.text()} ${message.location().url}`.trim());
  });
  page.on('response', async response => {
    if (response.status() < 500) return;
    const text = await response.text().catch(() => 'nothing');
    console.log(`${response.status()} of ${response.url()}: ${text}`);
  });
  page.on('pageerror', error => complaints.push(String(error.stack ?? error)));
  page.on('request', request => {
    if (!request.url().startsWith(url)) complaints.push(`asked for ${request.url()}`);
  });
  return {
    page,
    complaints,
    async goto(path) {
      await page.goto(path);
    },
    async screenshot(name) {
      mkdirSync(artefacts, { recursive: true });
      await page.screenshot({ path: join(artefacts, `${name}.png`), fullPage: true });
      if (isTour && inReadme.has(name)) await picture(page, name);
    },
    async barriers() {
      const found = await page.evaluate(
        `${axe}; axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
          violations.map(({ id, impact, nodes }) => ({ id, impact, at: nodes.map(node => node.html.slice(0, 160)) })))`,
      );
      return (found as { id: string; impact: string; at: string[] }[])
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, at }) => `${id}: ${at.slice(0, 3).join(' | ')}`);
    },
    [Symbol.asyncDispose]: () => context.close(),
  };
}
