/** The fourth screen in Chromium. */
import type { Page } from 'puppeteer';
import { describe, expect, it } from 'vitest';
import { Demo, fitsAndIsAccessible, loseDevice, settingsIn, settled, text } from './harness.ts';

const one = '#screen=measure&ops=instanceNorm&filter=4×3×256×256 f32&rounds=1';
const long = 60_000;

const cells = (page: Page): Promise<string[][]> =>
  page.$$eval('#results tbody tr', (rows) =>
    rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent ?? '')),
  );

describe('Measure it', () => {
  const demo = Demo.use('chromium');

  it('measures a row, beside copies and float64, and hands the results out', async () => {
    const page = await demo.open(encodeURI(one));
    await settled(page);
    expect(await text(page, 'measured-rows')).toMatch(/^1 of \d{2,} rows$/);
    await page.click('#run');
    await settled(page, long);
    const [row] = await cells(page);
    expect(row?.[1]).toBe('instanceNorm forward 4×3×256×256 f32');
    expect(row?.[2]).toMatch(/^[\d.]+ (µs|ms) \(/);
    const share = Number.parseFloat(row?.[4] ?? '');
    expect(share).toBeGreaterThan(1);
    expect(share).toBeLessThan(400);
    expect(Number(row?.[5])).toBeLessThanOrEqual(5e-7);
    expect(await text(page, 'measured-rows')).toBe('1 of 1 rows measured');

    // What goes to the clipboard.
    await page.evaluate(() => {
      Object.assign(navigator.clipboard, {
        writeText: async (copied: string) => Object.assign(globalThis, { copied }),
      });
    });
    const copied = () => page.evaluate(() => (globalThis as unknown as { copied: string }).copied);
    await page.click('#copy-markdown');
    expect(await copied()).toMatch(/\| # \| Row .*\| 1 \| instanceNorm forward 4×3×256×256 f32 \|/s);
    await page.click('#copy-json');
    const json = JSON.parse(await copied());
    expect(json.rows).toHaveLength(1);
    expect(json.rows[0].relError).toBeLessThanOrEqual(json.rows[0].bound);
    expect(Math.round(100 * json.rows[0].copyFraction)).toBe(share);
    // The share is what the times say.
    expect(json.rows[0].copy.ms / json.rows[0].ms).toBeCloseTo(json.rows[0].copyFraction);

    await fitsAndIsAccessible(page);
  });

  it('tunes a row, shows how far it is, stops, remembers, and forgets', async () => {
    const page = await demo.open(encodeURI(one.replace('4×3×256×256', '32×256×14×14')));
    await settled(page);
    const kept = () =>
      page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('webgpu-norm ')).length);
    await page.evaluate(() => localStorage.clear());
    await page.click('#tune');
    await page.waitForFunction(() =>
      /step [1-9]\d* of \d+: /.test(document.getElementById('measured-rows')?.textContent ?? ''),
    );
    expect(await page.$eval('#progress', (bar) => (bar as HTMLProgressElement).value)).toBeGreaterThan(0);
    await page.click('#stop');
    await settled(page, long);
    expect(await text(page, 'measured-rows')).toBe('0 of 1 rows tuned');
    expect(await kept()).toBe(0);

    const tuned = () =>
      page.$$eval('#tuned tbody tr', (rows) =>
        rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent ?? '')),
      );
    await page.click('#tune');
    await settled(page, long);
    expect(await text(page, 'measured-rows')).toBe('1 of 1 rows tuned');
    const [row = []] = await tuned();
    expect(row[0]).toBe('instanceNorm forward 32×256×14×14 f32');
    expect(row[1]).toMatch(/^[\d.]+ (µs|ms)$/);
    expect(row[3]).toMatch(/^[\d.]+ (µs|ms)$/);
    expect(row[4]).toMatch(/^(×[\d.]+|none faster|noise: the default stays)$/);
    const noise = row[4]?.startsWith('noise');
    expect(await kept()).toBe(noise ? 0 : 1);
    await fitsAndIsAccessible(page);
    if (noise) return; // nothing to remember
    await page.click('#tune');
    await settled(page, long);
    expect((await tuned())[0]?.slice(1)).toEqual(['–', row[2], '–', 'remembered']);
    await page.click('#forget');
    expect(await kept()).toBe(0);
  });

  it('stops, keeps its settings in the URL, and recovers from a lost device', async () => {
    const page = await demo.open('#screen=measure');
    await settled(page);
    await page.click('input[value="rmsNorm"]');
    await page.click('input[value="layerNorm"]');
    await page.type('#filter', '1×1048576');
    await page.select('#rounds', '1');
    const expected = { screen: 'measure', ops: 'rmsNorm', filter: '1×1048576', rounds: '1' };
    expect(await settingsIn(page)).toMatchObject(expected);
    await page.reload();
    await settled(page);
    expect(await settingsIn(page)).toMatchObject(expected);
    expect(await page.$eval('#filter', (input) => (input as HTMLInputElement).value)).toBe('1×1048576');

    await page.click('#run');
    await page.waitForSelector('#stop:not([disabled])');
    await page.click('#stop');
    await settled(page, long);
    expect((await cells(page)).length).toBeLessThanOrEqual(1);

    await loseDevice(page, 'measure.worker');
    await page.click('#run');
    await page.waitForSelector('#problem:not([hidden])');
    expect(await text(page, 'problem-text')).toMatch(/device was lost/);
    await page.click('#restart');
    await settled(page);
    expect(await page.$('#problem[hidden]')).not.toBeNull();
    expect(await text(page, 'measured-rows')).toMatch(/^\d of \d+ rows$/);
  });
});
