/** Every shader variant compiles on this engine. */
import type { Kernel } from '../../src/gpu/program.ts';
import type { FloatDType } from '../../src/index.ts';
import { describe } from '../../src/kernels.ts';
import { assert } from '../harness/assert.ts';
import type { Case, Requirement } from '../harness/case.ts';
import { describedCases } from '../support/descriptions.ts';
import { everyKernel, type Storage } from '../support/variants.ts';

const compile = (name: string, requires: Requirement[], kernelsOf: () => Kernel[]): Case => ({
  name: `variants: ${name}`,
  requires,
  timeout: 300_000,
  async run({ gpu, note }) {
    const kernels = kernelsOf();
    const failures: string[] = [];
    for (let first = 0; first < kernels.length; first += 16) {
      await Promise.all(
        kernels.slice(first, first + 16).map((kernel) =>
          gpu
            .prepare({
              steps: [
                { kernel, params: new ArrayBuffer(4 * kernel.fields.length), ranges: {}, workgroups: 1 },
              ],
              scratch: {},
            })
            .catch((error: Error) => {
              failures.push(error.message.slice(0, 2000));
            }),
        ),
      );
    }
    note('compiled', String(kernels.length - failures.length));
    assert(failures.length === 0, `${failures.length} of ${kernels.length} did not compile:\n${failures[0]}`);
  },
});

const variants = (subgroups: boolean, storage: Storage): Case => {
  const requires: Requirement[] = [];
  if (storage === 'f16') requires.push('f16');
  if (subgroups) requires.push('subgroups');
  return compile(`${storage}, ${subgroups ? 'subgroups' : 'portable'}`, requires, () => {
    // The others are the business of the case of f32.
    const known = storage === 'f32' ? undefined : everyKernel(subgroups, 'f32');
    return [...everyKernel(subgroups, storage).values()].filter(({ code }) => !known?.has(code));
  });
};

/** As a program that has nothing of this library compiles them: with the layout that WebGPU reads off the text. */
const described = (dtype: FloatDType): Case => ({
  name: `variants: descriptions, ${dtype}`,
  requires: dtype === 'f16' ? ['f16'] : [],
  timeout: 300_000,
  async run({ device, note }) {
    const some = describedCases.filter(({ options }) => options.dtype === dtype);
    const codes = new Set(
      some.flatMap(({ op, options }) => describe(op, options).dispatches.map(({ wgsl }) => wgsl)),
    );
    for (const code of codes) {
      const module = device.createShaderModule({ code });
      await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    }
    assert(codes.size > 30, `There are but ${codes.size}.`);
    note('compiled', String(codes.size));
  },
});

export const cases: Case[] = [
  described('f32'),
  described('f16'),
  described('bf16'),
  ...(['f32', 'f16', 'packed'] as const).flatMap((storage) => [
    variants(false, storage),
    variants(true, storage),
  ]),
];
