/** The fourth screen in Chromium. */
import { posix } from 'node:path';
import type { Page } from 'puppeteer';
import { describe, expect, it } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import { Demo, fitsAndIsAccessible, loseDevice, settingsIn, settled, text } from './harness.ts';

const one = '#screen=measure&ops=instanceNorm&filter=4×3×256×256 f32&rounds=1';
const long = 60_000;
/** A software adapter compiles every schedule, and may have little of its machine. */
const tuning = 240_000;

const cells = (page: Page): Promise<string[][]> =>
  page.$$eval('#results tbody tr', (rows) =>
    rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent ?? '')),
  );

/** Puts a choice for forward of the row that is tuned into the page's storage, as the page itself does. */
const put = (page: Page, schedule: object): Promise<unknown> =>
  page.evaluate(`(async () => {
    const source = (path) => import(${JSON.stringify(posix.join('/@fs', root.replaceAll('\\', '/'), 'src'))} + path);
    const { init } = await source('/index.ts');
    const { callOf, prepareOptionsOf } = await source('/ops/op-options.ts');
    const { forwardDescriptor } = await source('/ops/descriptors.ts');
    const { classOf, store } = await source('/autotune/tuned.ts');
    const gpu = await init();
    const call = callOf('instanceNorm', [32, 256, 14, 14], {});
    const forward = forwardDescriptor(call, prepareOptionsOf('instanceNorm', {}));
    const name = classOf('forward', forward, gpu.facts);
    const problem = store(gpu, localStorage, name, ${JSON.stringify(schedule)});
    gpu.destroy();
    return problem ?? '';
  })()`);

describe('Measure it', () => {
  const demo = Demo.use('chromium');

  it('measures a row, beside copies and float64, and hands the results out', async () => {
    const page = await demo.open(encodeURI(one));
    await settled(page);
    expect(await text(page, 'measured-rows')).toMatch(/^1 of \d{2,} rows$/);
    await page.click('#run');
    await settled(page, long);
    const method = /times by (timestamp-query|wall clock) .*\)$/;
    expect(await text(page, 'measure-adapter')).toMatch(method);
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
    expect(await copied()).toMatch(
      / Times by (timestamp-query|wall clock) .*\| # \| Row .*\| 1 \| instanceNorm forward 4×3×256×256 f32 \|/s,
    );
    await page.click('#copy-json');
    const json = JSON.parse(await copied());
    expect(json.rows).toHaveLength(1);
    expect(`times by ${json.method}`).toMatch(method);
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
    const forget = () => page.waitForSelector('#forget:not([disabled])', { visible: true });
    await page.evaluate(() => {
      localStorage.clear();
      localStorage.setItem('webgpu-norm of a version before', '{}');
    });
    await page.reload();
    await settled(page);
    await forget();
    await page.click('#tune');
    await page.waitForFunction(
      () => /step [1-9]\d* of \d+: /.test(document.getElementById('measured-rows')?.textContent ?? ''),
      { timeout: tuning },
    );
    expect(await page.$eval('#progress', (bar) => (bar as HTMLProgressElement).value)).toBeGreaterThan(0);
    expect(await page.$('#forget[disabled]')).not.toBeNull();
    await page.click('#stop');
    await settled(page, tuning);
    expect(await text(page, 'measured-rows')).toBe('0 of 1 rows tuned');
    expect(await kept()).toBe(1);
    await page.click('#forget');
    expect(await kept()).toBe(0);
    expect(await page.$('#forget[disabled]')).not.toBeNull();

    const tuned = () =>
      page.$$eval('#tuned tbody tr', (rows) =>
        rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent ?? '')),
      );
    await page.click('#tune');
    await settled(page, tuning);
    expect(await text(page, 'measured-rows')).toBe('1 of 1 rows tuned');
    const [row = []] = await tuned();
    expect(row[0]).toBe('instanceNorm forward 32×256×14×14 f32');
    expect(row[1]).toMatch(/^[\d.]+ (µs|ms)$/);
    expect(row[3]).toMatch(/^[\d.]+ (µs|ms)$/);
    expect(row[4]).toMatch(/^(×[\d.]+|none faster|noise: the default stays)$/);
    expect(await kept()).toBe(row[4]?.startsWith('noise') ? 0 : 1);
    await fitsAndIsAccessible(page);

    // Under the key of the page, whatever the times have said.
    expect(await put(page, { workgroup: 32 })).toBe('');
    expect(await kept()).toBe(1);
    await page.reload();
    await settled(page);
    await page.click('#tune');
    await settled(page, tuning);
    expect((await tuned())[0]?.slice(1)).toEqual(['–', '32', '–', 'remembered']);
    await page.reload();
    await settled(page);
    await forget();
    await page.click('#forget');
    expect(await kept()).toBe(0);
  }, 300_000);

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
