/** The fifth screen in Chromium. */
import type { Page } from 'puppeteer';
import { describe, expect, it } from 'vitest';
import { Demo, fitsAndIsAccessible, loseDevice, settingsIn, settled, text } from './harness.ts';

const long = 120_000;

const verdicts = (page: Page): Promise<string[][]> =>
  page.$$eval('#verdicts tbody tr', (rows) =>
    rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent ?? '')),
  );

describe('Check it', () => {
  const demo = Demo.use('chromium');

  it('checks every norm in every strategy, and reports', async () => {
    const page = await demo.open('#screen=check&dtypes=f32');
    await settled(page);
    await page.click('#check-run');
    await settled(page, long);
    const rows = await verdicts(page);
    const strategies = (op: string) => rows.filter((row) => row[0] === op).map((row) => row[2]);
    const all = ['chosen', 'thread', 'registers', 'workgroup', 'split'];
    for (const op of [
      'layerNorm',
      'rmsNorm',
      'addLayerNorm',
      'addRmsNorm',
      'l2Norm',
      'groupNorm',
      'instanceNorm',
    ]) {
      expect(strategies(op), op).toEqual(all);
    }
    expect(strategies('batchNorm')).toEqual(['chosen', 'split']);
    expect(strategies('localResponseNorm')).toEqual(['only']);
    for (const [op, , strategy, runs, error = '', allowed, verdict] of rows) {
      expect(verdict, `${op} ${strategy}`).toBe('passed');
      expect(Number(runs)).toBeGreaterThan(2);
      const [, value] = error.split(' ');
      expect(Number(value)).toBeLessThanOrEqual(Number(allowed));
      expect(Number(value)).toBeGreaterThan(0);
    }
    expect(await text(page, 'check-state')).toMatch(
      new RegExp(`^${rows.length} passed, 0 failed, \\d+ runs`),
    );
    await page.evaluate(() => {
      Object.assign(navigator.clipboard, {
        writeText: async (copied: string) => Object.assign(globalThis, { copied }),
      });
    });
    await page.click('#copy-report');
    const report = await page.evaluate(() => (globalThis as unknown as { copied: string }).copied);
    expect(report).toMatch(
      /webgpu-norm check: \d+ passed, 0 failed.*- adapter: \S+.*\| layerNorm \| f32 \| chosen \|/s,
    );
    await fitsAndIsAccessible(page);
  });

  it('keeps its settings in the URL, recovers from a lost device', async () => {
    const page = await demo.open('#screen=check&ops=localResponseNorm');
    await settled(page);
    await page.click('input[value="mixed"]');
    expect(await settingsIn(page)).toMatchObject({ ops: 'localResponseNorm', dtypes: 'f32.f16' });
    await page.reload();
    await settled(page);
    expect(await settingsIn(page)).toMatchObject({ ops: 'localResponseNorm', dtypes: 'f32.f16' });
    await loseDevice(page, 'check.worker');
    await page.click('#check-run');
    await page.waitForSelector('#problem:not([hidden])');
    expect(await text(page, 'problem-text')).toMatch(/device was lost/);
    await page.click('#restart');
    await settled(page);
    await page.click('#check-run');
    await settled(page);
    expect((await verdicts(page)).at(0)).toEqual(
      expect.arrayContaining(['localResponseNorm', 'f32', 'passed']),
    );
    expect(await text(page, 'check-state')).toMatch(/^[12] passed, 0 failed/);
  });
});
