/** The first screen in Chromium. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import {
  compare,
  configFile,
  Demo,
  dragToEnd,
  fitsAndIsAccessible,
  largestError,
  number,
  overflow,
  type Spied,
  settingsIn,
  settled,
  settleTimeout,
  text,
  urlHash,
  visit,
} from './harness.ts';

const picture = join(root, 'demo', 'screens', 'see', 'assets', 'raccoon.jpg');
const norms = ['layer', 'rms', 'group', 'instance', 'batch', 'response'] as const;
const offsets = {
  layer: [0, 1e5],
  rms: [0, 1e5],
  group: [1e5],
  instance: [1e5],
  batch: [0, 1e5],
  response: [0],
};

describe('See it', () => {
  const demo = Demo.use('chromium');
  const open = demo.open.bind(demo);

  it('opens with the photograph, its credit and numbers', async () => {
    const page = await open();
    await settled(page);
    expect(await text(page, 'adapter')).toMatch(/\w{3}/);
    expect(await text(page, 'credit')).toMatch(/SciPy.*public\s+domain/s);
    expect(await text(page, 'forward-time')).toMatch(/^[\d.]+ (µs|ms), [\d.]+ GB\/s$/);
    expect(await text(page, 'backward-time')).toMatch(/^[\d.]+ (µs|ms), [\d.]+ GB\/s$/);
    expect(await text(page, 'torch')).toMatch(/PyTorch \d+\.\d+.*y \d\.\de-8/s);
    expect(await text(page, 'status')).toMatch(/^LayerNorm: relative error of y \d\.\de-\d/);
    expect(await page.$$eval('#cube .front.lit', (cells) => cells.length)).toBe(72);
    expect((await compare(page, 'x0', 'dx0')).spread).toBeGreaterThan(100);
    await fitsAndIsAccessible(page);
    await visit(page, 'norm=response&offset=100000');
    expect(await overflow(page)).toBeLessThanOrEqual(0);
  });

  it('shows every norm within the promised error, with and without an offset', async () => {
    const page = await open();
    await settled(page);
    for (const norm of norms) {
      // The GPU tests have every norm at every offset; here it is about what the page says of them.
      for (const offset of offsets[norm]) {
        const what = `${norm}, offset ${offset}`;
        await visit(page, `norm=${norm}&offset=${offset}&loss=cubes&groups=6`);
        expect(await number(page, 'relative-error'), what).toBeLessThanOrEqual(largestError);
        expect(await number(page, 'gradient-error'), what).toBeLessThanOrEqual(largestError);
        const centred = norm !== 'rms' && norm !== 'response';
        if (!centred) {
          expect(await text(page, 'naive-text'), what).toMatch(/nothing cancels/);
        } else {
          const naive = await text(page, 'error-naive');
          if (offset === 0) expect(Number(naive), what).toBeLessThan(1e-4);
          else expect(naive === 'not finite' || Number(naive) > 0.01, `${what}: ${naive}`).toBe(true);
        }
        const { difference, spread } = await compare(page, 'x0', 'y0');
        expect(difference, what).toBeGreaterThan(2);
        // Where no mean is subtracted there is nothing to see next to the offset.
        if (centred || offset === 0) expect(spread, what).toBeGreaterThan(50);
      }
    }
    expect(await page.$$eval('#cube .front.lit', (cells) => cells.length)).toBe(5);
    expect(await text(page, 'sets')).toBe('none: windows of 5 channels');
    await visit(page, 'norm=batch');
    expect(await page.$$eval('#cube .front.lit', (cells) => cells.length)).toBe(12);
    await visit(page, 'norm=layer&over=position&layout=channels-first');
    expect(await text(page, 'shape')).toMatch(/^\[2, \d+, \d+, 12\]/);
    expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
    expect(await page.evaluate(() => (globalThis as unknown as { spied: Spied }).spied.liveTensors)).toBe(0);
  });

  it('keeps its settings in the URL', async () => {
    const page = await open();
    await settled(page);
    await page.click('input[value="group"]');
    await page.focus('#groups');
    await page.keyboard.press('ArrowRight');
    await dragToEnd(page, 'offset');
    await page.focus('#weight');
    await page.keyboard.press('ArrowLeft');
    await page.select('#loss', 'squares');
    await settled(page);
    const hash = await urlHash(page);
    const expected = {
      screen: 'see',
      norm: 'group',
      groups: '4',
      offset: '100000',
      weight: '0.95',
      loss: 'squares',
    };
    expect(await settingsIn(page)).toMatchObject(expected);
    const shown = await text(page, 'relative-error');

    await page.reload();
    await settled(page);
    expect(await urlHash(page)).toBe(hash);
    expect(await page.$eval('input[value="group"]', (radio) => (radio as HTMLInputElement).checked)).toBe(
      true,
    );
    for (const [id, value] of Object.entries({ groups: '4', offset: '1e5', weight: '0.95' })) {
      expect(await text(page, `${id}-value`)).toBe(value);
    }
    expect(await page.$eval('#loss', (select) => (select as HTMLSelectElement).value)).toBe('squares');
    // The same settings, the same bits.
    expect(await text(page, 'relative-error')).toBe(shown);

    await visit(page, 'norm=nonsense&groups=5&eps=-1&offset=1e9');
    expect(await urlHash(page)).toMatch(/norm=layer.*groups=3.*eps=0.00001&offset=0/);
  });

  it('takes a picture from a file, and says so when it is none', async () => {
    const page = await open();
    await settled(page);
    const input = await page.$('#file');
    await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(picture);
    await page.waitForSelector('#credit[hidden]');
    await settled(page);
    await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(configFile);
    await page.waitForSelector('#problem:not([hidden])');
    expect(await text(page, 'problem-text')).toMatch(/not a picture/);
  });

  it('takes pictures from the camera, until told to stop', async () => {
    const page = await open();
    await settled(page);
    const pressed = (value: boolean) => page.waitForSelector(`#camera[aria-pressed="${value}"]`);
    await page.click('#camera');
    await pressed(true);
    await page.waitForSelector('#credit[hidden]');
    await page.click('input[value="rms"]');
    await page.waitForFunction(() => location.hash.includes('norm=rms'), { timeout: settleTimeout });
    expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
    await page.click('#camera');
    await pressed(false);
    await settled(page);
    expect(await page.$('#credit[hidden]')).toBeNull();
    expect(await text(page, 'forward-time')).toMatch(/GB/);
  });

  it('recovers from a lost device', async () => {
    const page = await open('#norm=instance&offset=1000');
    await settled(page);
    await page.evaluate(() => (globalThis as unknown as { spied: Spied }).spied.devices[0]?.destroy());
    await page.waitForSelector('#problem:not([hidden])');
    expect(await text(page, 'problem-text')).toMatch(/device was lost/);
    await page.click('#restart');
    await settled(page);
    expect(await page.$('#problem[hidden]')).not.toBeNull();
    expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
    expect(await urlHash(page)).toMatch(/norm=instance.*offset=1000/);
  });
});
