/** The first two screens in Firefox. */
import type { Page } from 'puppeteer';
import { describe, expect, it } from 'vitest';
import {
  Demo,
  dragToEnd,
  largestError,
  narrow,
  number,
  overflow,
  settingsIn,
  settled,
  standings,
  steps,
  text,
} from './harness.ts';
import { startOf } from './train-reference.ts';

const darkPage = 'rgb(16, 20, 24)';
const background = (page: Page): Promise<string> =>
  page.evaluate(() => getComputedStyle(document.body).backgroundColor);

describe('Firefox', () => {
  const demo = Demo.use('firefox');

  it('sees', async () => {
    const page = await demo.open('#screen=see&offset=100000');
    await settled(page);
    expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
    expect(
      Number(await text(page, 'error-naive')) > 0.01 || (await text(page, 'error-naive')) === 'not finite',
    ).toBe(true);
    await page.click('input[value="batch"] + span');
    await page.focus('#offset');
    await page.keyboard.press('Home');
    await dragToEnd(page, 'weight');
    await settled(page);
    expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
    expect(await settingsIn(page)).toMatchObject({ norm: 'batch', offset: '0', weight: '3' });
    const shown = await text(page, 'relative-error');
    await page.reload();
    await settled(page);
    expect(await text(page, 'relative-error')).toBe(shown);
    await narrow(page);
    expect(await background(page)).toBe(darkPage);
    await settled(page);
    expect(await overflow(page)).toBeLessThanOrEqual(0);
  });

  it('trains', async () => {
    const page = await demo.open('#screen=train&layers=1&batch=16&norms=none.batch.group');
    await settled(page);
    const first = await standings(page);
    for (const kind of ['none', 'batch', 'group'] as const) {
      expect(Math.abs(Number(first[kind]?.[0]) - startOf(kind, 1).loss), kind).toBeLessThan(1e-4);
    }
    await page.click('#play');
    await page.waitForFunction(
      () => Number.parseInt(document.querySelector('#steps')?.textContent ?? '', 10) > 3,
    );
    await page.click('#play');
    await settled(page);
    expect(await steps(page)).toBeGreaterThan(3);
    expect(await standings(page)).not.toEqual(first);
    await page.click('#reset');
    await settled(page);
    expect(await standings(page)).toEqual(first);
    await narrow(page);
    expect(await background(page)).toBe(darkPage);
    await settled(page);
    expect(await overflow(page)).toBeLessThanOrEqual(0);
  });
});
