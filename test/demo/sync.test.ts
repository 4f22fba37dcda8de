/** The third screen in Chromium. */
import type { Page } from 'puppeteer';
import { describe, expect, it } from 'vitest';
import { Demo, fitsAndIsAccessible, loseDevice, settingsIn, settled, standings, text } from './harness.ts';
import { startOf } from './train-reference.ts';

const long = 60_000;

const shown = (page: Page): Promise<Record<string, string[]>> => standings(page, 'sync-standings');
const stateOf = (page: Page, rank: number): Promise<string> =>
  page.$eval(`#replica-rows tr:nth-child(${rank + 1}) td:nth-child(2)`, (cell) => cell.textContent ?? '');
const stepsAfter = (page: Page, count: number): Promise<unknown> =>
  page.waitForFunction(
    (least) => Number.parseInt(document.querySelector('#sync-steps')?.textContent ?? '', 10) > least,
    { timeout: long },
    count,
  );

describe('Sync it', () => {
  const demo = Demo.use('chromium');

  it('does with SyncBatchNorm what one big batch does, and without it not', async () => {
    const page = await demo.open('#screen=sync&replicas=2&batch=4');
    await settled(page, long);
    const { loss, accuracy } = startOf('batch', 2);
    for (const [kind, cells] of Object.entries(await shown(page))) {
      expect(Math.abs(Number(cells[0]) - loss), kind).toBeLessThan(1e-4);
      expect(cells[1], kind).toBe(`${(100 * accuracy).toFixed(1)} %`);
      expect(cells.slice(2, 4), kind).toEqual(['0', '1']);
    }
    await page.click('#sync-play');
    await stepsAfter(page, 3);
    await page.click('#sync-play');
    await settled(page, long);
    const { batch = [], sync = [], whole = [] } = await shown(page);
    const off = (cells: string[]): number => Math.abs(Number(cells[0]) - Number(whole[0]));
    expect(off(sync)).toBeLessThan(1e-4);
    expect(sync.slice(2, 4)).toEqual(whole.slice(2, 4));
    expect(off(batch)).toBeGreaterThan(1e-3);
    expect(batch.slice(2, 4)).not.toEqual(whole.slice(2, 4));

    // One gone: the other says so, the big batch goes on.
    await page.click('#sync-play');
    await page.click('button[aria-label="Kill replica 1"]');
    expect(await stateOf(page, 1)).toBe('killed');
    await page.waitForFunction(
      () => /rank 1/i.test(document.querySelector('#replica-rows tr td:nth-child(2)')?.textContent ?? ''),
      { timeout: long },
    );
    expect(await stateOf(page, 0)).toMatch(/^timeout: .*rank 1/i);
    const steps = Number.parseInt(await text(page, 'sync-steps'), 10);
    await stepsAfter(page, steps);
    await page.click('#sync-reset');
    await settled(page, long);
    expect(await stateOf(page, 1)).toBe('ready');
    expect(await text(page, 'sync-steps')).toBe('0 steps');
  });

  it('keeps its settings in the URL; one digit per replica is too few for BatchNorm alone', async () => {
    const page = await demo.open('#screen=sync&replicas=1&batch=2');
    await settled(page, long);
    await page.focus('#replica-batch');
    await page.keyboard.press('Home');
    await page.focus('#replicas');
    await page.keyboard.press('ArrowRight');
    await settled(page, long);
    expect(await settingsIn(page)).toMatchObject({ screen: 'sync', replicas: '2', batch: '1' });
    await page.reload();
    await settled(page, long);
    expect(await text(page, 'batches')).toMatch(/2 × 1 = 2 digits/);
    await page.click('#sync-step');
    await settled(page, long);
    const { batch = [], sync = [], whole = [] } = await shown(page);
    expect(batch[0]).toMatch(/one value per channel/);
    expect(Math.abs(Number(sync[0]) - Number(whole[0]))).toBeLessThan(1e-4);
  });

  it('fits a phone, light and dark, and recovers from a lost device', async () => {
    const page = await demo.open('#screen=sync&replicas=1');
    await settled(page, long);
    await fitsAndIsAccessible(page);
    await loseDevice(page, 'replica.worker');
    await page.click('#sync-step');
    await page.waitForSelector('#problem:not([hidden])');
    expect(await text(page, 'problem-text')).toMatch(/device was lost/);
    await page.click('#restart');
    await settled(page, long);
    expect(await page.$('#problem[hidden]')).not.toBeNull();
    expect(Object.keys(await shown(page))).toEqual(['batch', 'sync', 'whole']);
  });
});
