/** The second screen in Chromium. */
import { describe, expect, it } from 'vitest';
import { kinds } from '../../demo/screens/train/settings.ts';
import {
  Demo,
  dragToEnd,
  fitsAndIsAccessible,
  loseDevice,
  settingsIn,
  settled,
  standings,
  steps,
  text,
  urlHash,
} from './harness.ts';
import { startOf } from './train-reference.ts';

describe('Train it', () => {
  const demo = Demo.use('chromium');
  const small = '#screen=train&layers=1&batch=16';

  it('starts where float64 does', async () => {
    const page = await demo.open('#screen=train&layers=2');
    await settled(page);
    const shown = await standings(page);
    expect(Object.keys(shown)).toEqual([...kinds]);
    for (const kind of kinds) {
      const { loss, accuracy } = startOf(kind, 2);
      expect(Math.abs(Number(shown[kind]?.[0]) - loss), `${kind}, loss`).toBeLessThan(1e-4);
      expect(shown[kind]?.[1], `${kind}, accuracy`).toBe(`${(100 * accuracy).toFixed(1)} %`);
    }
    expect(await text(page, 'convergence-text')).toMatch(/running mean 0, now .*running variance 1, now/s);
    expect(await page.$$eval('.layer-text', (all) => all.length)).toBe(2);
    await fitsAndIsAccessible(page);
  });

  it('plays, pauses, steps and resets, and lets the page go on meanwhile', async () => {
    const page = await demo.open(small);
    await settled(page);
    const first = await standings(page);
    await page.click('#step');
    await settled(page);
    expect(await steps(page)).toBe(1);
    expect(await standings(page)).not.toEqual(first);
    await page.click('#play');
    // The page goes on drawing while it trains.
    await page.evaluate(async () => {
      for (let frames = 0; frames < 12; frames++) await new Promise((next) => requestAnimationFrame(next));
    });
    await page.waitForFunction(
      () => Number.parseInt(document.querySelector('#steps')?.textContent ?? '', 10) > 20,
    );
    await page.click('#play');
    await settled(page);
    expect(await text(page, 'play')).toBe('Play');
    const paused = await steps(page);
    await new Promise((next) => setTimeout(next, 300));
    expect(await steps(page)).toBe(paused);
    // The running variance has gone from 1 most of the way to that of the digits.
    const [, variance, now] =
      (await text(page, 'convergence-text')).match(/running variance (\S+), now (\S+)\./) ?? [];
    expect(Math.abs(Number(variance) - Number(now))).toBeLessThan(0.5 * Math.abs(1 - Number(now)));
    await page.click('#reset');
    await settled(page);
    expect(await steps(page)).toBe(0);
    expect(await standings(page)).toEqual(first);
  });

  it('breaks BatchNorm with a batch of one, and GroupNorm not', async () => {
    const page = await demo.open(`${small}&norms=batch.group&statistics=batch`);
    await settled(page);
    await page.focus('#batch');
    await page.keyboard.press('Home');
    await settled(page);
    expect(await settingsIn(page)).toMatchObject({ batch: '1', norms: 'batch.group' });
    const before = await standings(page);
    await page.click('#step');
    await settled(page);
    const after = await standings(page);
    expect(after.batch?.[0]).toMatch(/one value per channel/);
    expect(after.group).not.toEqual(before.group);
    expect(Number(after.group?.[0])).toBeGreaterThan(0);
  });

  it('judges BatchNorm with running statistics or the batch’s', async () => {
    const page = await demo.open(`${small}&norms=batch.layer`);
    await settled(page);
    const running = await standings(page);
    await page.click('input[value="batch"][name="statistics"]');
    await settled(page);
    const own = await standings(page);
    expect(own.layer).toEqual(running.layer);
    expect(own.batch).not.toEqual(running.batch);
    expect(await text(page, 'activations')).toMatch(/BatchNorm: -?\S+ ± 1\./);
  });

  it('keeps its settings in the URL', async () => {
    const page = await demo.open(small);
    await settled(page);
    await page.click('input[value="rms"]');
    await page.click('input[value="relu"]');
    await dragToEnd(page, 'rate');
    await page.select('#beside', 'layer');
    await settled(page);
    const expected = { norms: 'none.batch.layer.group', activation: 'relu', rate: '2', beside: 'layer' };
    expect(await settingsIn(page)).toMatchObject({ screen: 'train', layers: '1', batch: '16', ...expected });
    const [hash, shown] = [await urlHash(page), await standings(page)];
    await page.reload();
    await settled(page);
    expect(await urlHash(page)).toBe(hash);
    // The same settings, the same numbers.
    expect(await standings(page)).toEqual(shown);
    expect(await page.$eval('#beside', (select) => (select as HTMLSelectElement).value)).toBe('layer');
  });

  it('recovers from a lost device', async () => {
    const page = await demo.open(small);
    await settled(page);
    const first = await standings(page);
    await loseDevice(page, 'train.worker');
    await page.click('#step');
    await page.waitForSelector('#problem:not([hidden])');
    expect(await text(page, 'problem-text')).toMatch(/device was lost/);
    await page.click('#restart');
    await settled(page);
    expect(await page.$('#problem[hidden]')).not.toBeNull();
    expect(await standings(page)).toEqual(first);
  });
});
