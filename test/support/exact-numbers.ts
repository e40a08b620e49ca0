/** The exact numbers of the dashboard's tiles, as a visitor finds them beside the rounded ones. */
import type { Page } from 'playwright-core';
import { eventually } from './wait.ts';

/** Undefined while there is none. */
export async function exact(page: Page, name: string): Promise<number | undefined> {
  const told = page.locator(`[data-exact="${name}"]:not([hidden]) button`);
  return (await told.count()) === 1 ? Number(await told.getAttribute('data-value')) : undefined;
}

export function shows(page: Page, name: string, count: number): Promise<unknown> {
  return eventually(`${name} is ${count}`, async () => (await exact(page, name)) === count);
}
