/** The float64 reference of the optimizers against PyTorch; what host and shaders of theirs agree on; shared numbers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Program, Step } from '../../src/gpu/program.ts';
import { SharedBuffers } from '../../src/gpu/shared-buffers.ts';
import { adamwProgram, adamwSettings, sgdProgram, sgdSettings } from '../../src/kernels/optim.ts';
import { relativeError } from '../reference/index.ts';
import { decode } from '../support/golden.ts';
import { type OptimCase, type OptimFile, settingsOf } from '../support/golden-optim.ts';
import { OptimReference } from '../support/optim.ts';
import { facts } from '../support/variants.ts';

const root = join(import.meta.dirname, '../..');
const { cases } = JSON.parse(readFileSync(join(root, 'test/golden/optim.json'), 'utf8')) as OptimFile;

function errorOf(golden: OptimCase): number {
  const references = golden.initial.map((initial) => new OptimReference(decode(initial), golden.dtype));
  let worst = 0;
  golden.gradients.forEach((gradients, step) => {
    references.forEach((reference, i) => {
      if (golden.skip.some(([at, parameter]) => at === step && parameter === i)) return;
      const settings = settingsOf(golden, i, step);
      const grad = decode(gradients[i] as (typeof gradients)[number]);
      if (golden.optimizer === 'SGD') reference.sgd(grad, settings);
      else reference.adamw(grad, settings);
    });
    const after = golden.after[`${step + 1}` as '1' | '10'];
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
  });
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
    const each = { size: 9, dtype: 'f32' } as const;
    const sgd = sgdProgram({ ...each, momentum: true, nesterov: true, undamped: false }, facts);
    expect(structOf(sgd)).toEqual(sgdSettings.map((name) => [name, 'f32']));
    expect(structOf(adamwProgram({ ...each, amsgrad: true }, facts))).toEqual(
      adamwSettings.map((name) => [name, 'f32']),
    );
  });

  it('pack their numbers in the order and with the types of their kernel', () => {
    const settings = { size: 9, dtype: 'f32', momentum: true, nesterov: false, undamped: true } as const;
    const { steps } = sgdProgram(settings, facts);
    expect(steps).toHaveLength(1);
    const { kernel, params } = steps[0] as Step;
    const view = new DataView(params);
    const packed = kernel.fields.map(({ name, type }, i) => [
      name,
      type === 'f32' ? view.getFloat32(4 * i, true) : view.getUint32(4 * i, true),
    ]);
    expect(params.byteLength).toBe(4 * kernel.fields.length);
    expect(Object.fromEntries(packed)).toEqual({ count: 9, undamped: 1 });
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
