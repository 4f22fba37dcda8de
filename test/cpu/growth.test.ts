/**
 * Buffers that grow by doubling: never past what a buffer may have, as long as what is asked for fits. And numbers that change
 * all the time: what they are kept in does not grow with them.
 */
import { describe, expect, it } from 'vitest';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { SharedBuffers } from '../../src/gpu/shared-buffers.ts';
import { byteSize, type DType } from '../../src/gpu/tensor.ts';
import { Reusable } from '../../src/nn/reusable.ts';
import { GroupSettings } from '../../src/optim/group-settings.ts';
import { facts } from '../support/variants.ts';

describe('Reusable', () => {
  /** Elements of the tensors that a context with that maxBufferSize is asked for. */
  function sizesOf(maxBufferSize: number, dtype: DType, shapes: number[][]): number[] {
    const made: number[] = [];
    const gpu = {
      device: { limits: { maxBufferSize } },
      intact: () => true,
      keep: (tensor: unknown) => tensor,
      empty: ([size = 0]: number[], options: { dtype: DType }) => {
        const bytes = Math.ceil((size * byteSize(options.dtype)) / 16) * 16;
        if (bytes > maxBufferSize) throw new Error(`${bytes} bytes exceed ${maxBufferSize}`);
        made.push(size);
        return { size, view: (shape: number[]) => ({ shape }) };
      },
    } as unknown as Gpu;
    const reusable = new Reusable(gpu);
    for (const shape of shapes) expect(reusable.take(shape, dtype)).toMatchObject({ shape });
    return made;
  }

  it('1600 rows of 100, then 2000, where a buffer has 1 MiB', () => {
    expect(
      sizesOf(2 ** 20, 'f32', [
        [1600, 100],
        [2000, 100],
        [2600, 100],
      ]),
    ).toEqual([160_000, 262_144]);
  });

  it('a limit that is no multiple of 16, in every dtype', () => {
    expect(sizesOf(1000, 'f32', [[150], [200], [248]])).toEqual([150, 248]);
    expect(sizesOf(1000, 'f16', [[300], [400], [496]])).toEqual([300, 496]);
  });

  it('what fits twice is doubled', () => {
    expect(sizesOf(2 ** 20, 'f32', [[1000], [1001], [2000], [2001]])).toEqual([1000, 2000, 4000]);
  });

  it('what a buffer cannot hold is refused as it is', () => {
    expect(() => sizesOf(1024, 'f32', [[200], [257]])).toThrow('1040 bytes exceed 1024');
  });
});

describe('scratch', () => {
  it('grows to what a buffer may have, be that no round number', () => {
    const sizes: number[] = [];
    const device = { limits: { maxBufferSize: 100_004 } } as unknown as GPUDevice;
    const maker = {
      createBuffer: ({ size }: GPUBufferDescriptor) => {
        sizes.push(size);
        return { size } as GPUBuffer;
      },
    };
    const shared = new SharedBuffers(device, maker);
    for (const bytes of [60_000, 70_000, 100_001]) shared.scratch('partials', bytes);
    expect(sizes).toEqual([60_160, 100_004]);
  });
});

describe('settings of a parameter group', () => {
  /** What ten thousand steps ask a device for, and how many tensors they bind. */
  function askedBy(target: object, rateOf: (step: number) => number) {
    const asked = { sizes: [] as number[], writes: 0, copies: 0, bound: 0 };
    const gpu = {
      facts,
      device: { queue: { writeBuffer: () => asked.writes++ } },
      faults: {
        createBuffer: ({ size }: GPUBufferDescriptor) => {
          asked.sizes.push(size);
          return { size, destroy() {} };
        },
      },
    } as unknown as Gpu;
    const encoder = {} as GPUCommandEncoder;
    const settings = new GroupSettings(gpu);
    const bound = new Set<unknown>();
    for (let step = 0; step < 10_000; step++) {
      const { tensor, calls, copies } = settings.take(
        [rateOf(step), 0.9],
        'encoder' in target ? { encoder } : target,
      );
      bound.add(tensor);
      asked.copies += calls.length + copies.length;
    }
    settings.destroy();
    return { ...asked, bound: bound.size };
  }
  const pass = {} as GPUComputePassEncoder;
  const buffer = 64 * 256;

  it('that stay: one buffer, written once, and a copy for each step that is recorded', () => {
    const rate = () => 0.1;
    expect(askedBy({}, rate)).toEqual({ sizes: [buffer], writes: 1, copies: 0, bound: 1 });
    for (const target of [{ pass }, { encoder: true }]) {
      expect(askedBy(target, rate)).toEqual({ sizes: [buffer, 12], writes: 1, copies: 10_000, bound: 1 });
    }
  });

  it('that change in every step: one buffer, and 64 steps to a buffer where they may be yet to be submitted', () => {
    const rate = (step: number) => 1 / (step + 1);
    const buffers = Array<number>(Math.ceil(10_000 / 64)).fill(buffer);
    expect(askedBy({}, rate)).toEqual({ sizes: [buffer], writes: 10_000, copies: 0, bound: 1 });
    for (const target of [{ pass }, { encoder: true }]) {
      const sizes = [buffer, 12, ...buffers.slice(1)];
      expect(askedBy(target, rate)).toEqual({ sizes, writes: 10_000, copies: 10_000, bound: 1 });
    }
  });
});
