/** The float64 reference of the optimizers against PyTorch; what host and shaders of theirs agree on; shared numbers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Program, Step } from '../../src/gpu/program.ts';
import { SharedBuffers } from '../../src/gpu/shared-buffers.ts';
import { countStepsProgram, type UpdateKernel, updateProgram } from '../../src/kernels/optim.ts';
import { adagradKernel, adagradNumbers } from '../../src/optim/adagrad.ts';
import { adamKernel, adamNumbers } from '../../src/optim/adam.ts';
import { adamaxKernel, adamaxNumbers } from '../../src/optim/adamax.ts';
import { packingsOf, placesOf } from '../../src/optim/packing.ts';
import { rmspropKernel, rmspropNumbers } from '../../src/optim/rmsprop.ts';
import { sgdKernel, sgdNumbers } from '../../src/optim/sgd.ts';
import { relativeError } from '../reference/index.ts';
import { decode } from '../support/golden.ts';
import { type OptimCase, type OptimFile, settingsOf, stepsOf } from '../support/golden-optim.ts';
import { OptimReference } from '../support/optim.ts';
import { facts } from '../support/variants.ts';

const root = join(import.meta.dirname, '../..');
const { cases } = JSON.parse(readFileSync(join(root, 'test/golden/optim.json'), 'utf8')) as OptimFile;

function errorOf(golden: OptimCase): number {
  const references = golden.initial.map((initial) => new OptimReference(decode(initial), golden.dtype));
  let worst = 0;
  for (let step = 0; step < stepsOf(golden); step++) {
    const gradients = golden.gradients[step % golden.gradients.length] as OptimCase['initial'];
    references.forEach((reference, i) => {
      if (golden.skip.some(([at, parameter]) => at === step && parameter === i)) return;
      const settings = settingsOf(golden, i, step);
      const grad = decode(gradients[i] as (typeof gradients)[number]);
      reference.step(golden.optimizer, grad, settings);
    });
    const after = golden.after[`${step + 1}`];
    after?.forEach((tensors, i) => {
      const { steps, values, scale } = references[i] as OptimReference;
      for (const [name, tensor] of Object.entries(tensors)) {
        const expected = decode(tensor);
        const error =
          name === 'step'
            ? Math.abs(steps - (expected[0] as number))
            : relativeError(values[name] as Float64Array, expected, scale[name]);
        worst = Math.max(worst, error);
      }
    });
  }
  return worst;
}

describe('optimizers', () => {
  it.each(cases.map((golden) => [golden.name, golden] as const))(
    'reference and PyTorch agree: %s',
    (_, golden) => {
      expect(errorOf(golden)).toBeLessThan(1e-12);
    },
  );

  it('lay their settings out in the order of their kernel', () => {
    const structOf = ({ steps }: Program) => {
      const { code } = (steps[0] as Step).kernel;
      const body = /^struct Settings \{([^}]*)\}/m.exec(code)?.[1] ?? '';
      return [...body.matchAll(/^\s*(\w+): (\w+),/gm)].map(([, name, type]) => [name, type]);
    };
    const common = { lr: 1, maximize: false, masterCopies: false, eps: 1, weightDecay: 1 };
    const betas = [0.9, 0.99] as const;
    const sgd = { ...common, momentum: 0.9, dampening: 0.5, nesterov: true };
    const adam = { ...common, betas, amsgrad: true };
    const rmsprop = { ...common, alpha: 0.9, momentum: 0.9, centered: true };
    const adagrad = { ...common, lrDecay: 1, initialAccumulatorValue: 1 };
    for (const [kernel, numbers] of [
      [sgdKernel(sgd), sgdNumbers(sgd)],
      [adamKernel(adam), adamNumbers(adam, true)],
      [rmspropKernel(rmsprop), rmspropNumbers(rmsprop)],
      [adagradKernel, adagradNumbers(adagrad)],
      [adamaxKernel, adamaxNumbers({ ...common, betas })],
    ] as [UpdateKernel, object][]) {
      for (const places of [0, 3]) {
        const program = updateProgram(kernel, { size: 9, dtype: 'f32', gradDtype: 'f32', places }, facts);
        const words = Object.keys(numbers).map((name) => [name, 'f32']);
        expect(structOf(program)).toEqual([['skip', 'u32'], ...words]);
        // What all devices can bind.
        expect((program.steps[0] as Step).kernel.bindings.length).toBeLessThanOrEqual(8);
      }
    }
  });

  it('pack their numbers in the order and with the types of their kernel', () => {
    const { steps } = countStepsProgram(9, facts);
    expect(steps).toHaveLength(1);
    const { kernel, params } = steps[0] as Step;
    const view = new DataView(params);
    const packed = kernel.fields.map(({ name, type }, i) => [
      name,
      type === 'f32' ? view.getFloat32(4 * i, true) : view.getUint32(4 * i, true),
    ]);
    expect(params.byteLength).toBe(4 * kernel.fields.length);
    expect(Object.fromEntries(packed)).toEqual({ count: 9, stride: facts.offsetAlignment / 4 });
  });

  it('pack small tensors by dtype, at aligned offsets, in as few as bindings allow', () => {
    const of = (size: number, dtype: 'f32' | 'f16' = 'f32') => ({ shape: [size], size, dtype });
    const list = [of(64), of(300), of(1, 'f16'), of(70_000), of(0), of(128), of(5, 'f16')];
    const [first, second, ...others] = packingsOf(list, facts);
    expect(others).toEqual([]);
    expect(first).toMatchObject({ dtype: 'f32', members: [0, 1, 5], firsts: [0, 128, 512], size: 640 });
    expect(second).toMatchObject({ dtype: 'f16', members: [2, 6], firsts: [0, 128], size: 256 });
    // 300 elements are two places; the numbers are those in the list.
    expect(placesOf(first as NonNullable<typeof first>, [0, 1, 2])).toEqual([
      ...[0, 64, 0],
      ...[128, 384, 1],
      ...[384, 428, 1],
      ...[512, 640, 5],
    ]);
    const small = packingsOf(
      Array.from({ length: 20 }, () => of(100)),
      { ...facts, maxBindingBytes: 4096 },
    );
    expect(small.map(({ members }) => members.length)).toEqual([8, 8, 4]);
    expect(small[2]?.members).toEqual([16, 17, 18, 19]);
    expect(packingsOf([of(2000)], { ...facts, maxBindingBytes: 4096 })).toEqual([]);
  });
});

describe('numbers of dispatches', () => {
  it('that change all the time are let go of, and never destroyed while a pass may refer to them', () => {
    let made = 0;
    let destroyed = 0;
    const device = {
      createBuffer: () => {
        made += 1;
        return {
          getMappedRange: () => new ArrayBuffer(4),
          unmap: () => {},
          destroy: () => {
            destroyed += 1;
          },
        };
      },
    } as unknown as GPUDevice;
    const shared = new SharedBuffers(device, device);
    const first = shared.uniform(Float32Array.of(-1).buffer);
    for (let i = 0; i < 5000; i++) {
      shared.uniform(Float32Array.of(i).buffer);
      expect(shared.uniform(Float32Array.of(-1).buffer)).toBe(first); // what is used often stays
    }
    expect(made).toBe(5001);
    expect(destroyed).toBe(0);
    shared.destroy();
    expect(destroyed).toBe(1024);
  });
});
