// webgpu-norm/onnxruntime in Chromium, on onnxruntime-web's own device.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { layerNormGeometry, normReference, relativeError } from '../reference/index.ts';
import { type Opened, open } from './browser.ts';
import type { page as onnxPage } from './pages/onnxruntime.ts';

let opened: Opened<typeof onnxPage>;
let page: Opened<typeof onnxPage>['page'];
let started: Awaited<ReturnType<typeof onnxPage.start>>;

beforeAll(async () => {
  opened = await open('onnxruntime');
  page = opened.page;
  started = await page.start();
}, 120_000);
afterAll(async () => {
  await opened?.close();
});

// onnxruntime's Sigmoid is the less exact part.
const bound = 1e-6;

it('takes the device of the first session, and says so before there is one', () => {
  expect(started).toEqual({ tooEarly: 'order', same: true });
});

// 15 elements: neither library may round the other's buffers up.
it.each([[[4, 64]], [[3, 5]], [[128, 256]]])('normalizes %j between two sessions', async (shape) => {
  const { results, counts } = await page.betweenSessions(shape, 3);
  for (const { x, y, location } of results) {
    const rectified = x.map((value) => Math.max(value, 0));
    const geometry = layerNormGeometry(shape, shape[1] as number);
    const normalized = normReference(rectified, geometry, { kind: 'moments', eps: 1e-5 }).y;
    expect(
      relativeError(
        y,
        normalized.map((value) => 1 / (1 + Math.exp(-value))),
      ),
    ).toBeLessThan(bound);
    expect(location).toBe('gpu-buffer');
  }
  // onnxruntime writes uniforms; nothing is read, and no tensor is copied.
  const { writeBuffer, ...copies } = counts as NonNullable<typeof counts>;
  expect(writeBuffer).toBeGreaterThan(0);
  expect(copies).toEqual({ mapAsync: 0, copyBufferToBuffer: 0, getMappedRange: 0 });
});

it.each([[[2, 3, 8, 8]], [[1, 5, 7, 3]]])(
  "stands in for a model's InstanceNormalization, %j",
  async (shape) => {
    const { expected, y } = await page.replaceInstanceNorm(shape);
    // onnxruntime's variance is a difference of squares.
    expect(relativeError(y, expected)).toBeLessThan(1e-5);
  },
);

it('refuses what cannot be shared', async () => {
  expect(await page.misuse()).toEqual(['buffer', 'dtype', 'buffer', 'dtype', 'destroyed', 'wrong-device']);
});

it('nothing was said on the console', () => {
  expect(opened.complaints).toEqual([]);
});
