import axe, { type AxeResults } from 'axe-core';
import type { Page } from 'puppeteer';

/** Serious and critical accessibility violations of a page as it stands, as axe-core finds them. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(`${axe.source}; globalThis.axe = axe; undefined`);
  const results = (await page.evaluate('axe.run(document)')) as AxeResults;
  return results.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map(({ html }) => html).join(' ')})`);
}
