/** Every shader variant is valid on this engine, and one in forty-eight compiles to the end. */
import type { Kernel } from '../../src/gpu/program.ts';
import type { FloatDType } from '../../src/index.ts';
import { describe } from '../../src/kernels.ts';
import { assert } from '../harness/assert.ts';
import type { Case, Requirement } from '../harness/case.ts';
import { describedCases } from '../support/descriptions.ts';
import { everyKernel, type Storage } from '../support/variants.ts';

/**
 * Of so many kernels one becomes a pipeline, which takes a software adapter a third of a second: some thousands would take half an hour. The
 * other cases run what they need, so that what is left is what the engine's front end says of the rest.
 */
const pipelineEach = 48;

/** The front end of the engine's compiler: what WGSL may say, and what this device has. */
async function faultOf(device: GPUDevice, { code, label }: Kernel): Promise<string | undefined> {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code, label });
  const error = await device.popErrorScope();
  if (!error) return undefined;
  const { messages } = await module.getCompilationInfo();
  return `${label}: ${error.message}\n${messages.map(({ message, lineNum }) => `line ${lineNum}: ${message}`).join('\n')}\n${code}`;
}

const compile = (name: string, requires: Requirement[], kernelsOf: () => Kernel[]): Case => ({
  name: `variants: ${name}`,
  requires,
  timeout: 300_000,
  async run({ gpu, device, note }) {
    const all = kernelsOf();
    const failures: string[] = [];
    for (let first = 0; first < all.length; first += 64) {
      const found = await Promise.all(all.slice(first, first + 64).map((kernel) => faultOf(device, kernel)));
      for (const fault of found) if (fault !== undefined) failures.push(fault.slice(0, 8000));
    }
    const kernels = all.filter((_, i) => i % pipelineEach === 0);
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
    note('valid, and pipelines', `${all.length}, ${kernels.length}`);
    assert(failures.length === 0, `${failures.length} of ${all.length} did not compile:\n${failures[0]}`);
  },
});

const variants = (subgroups: boolean, storage: Storage): Case => {
  const requires: Requirement[] = [];
  if (storage === 'f16') requires.push('f16');
  if (subgroups) requires.push('subgroups');
  return compile(`${storage}, ${subgroups ? 'subgroups' : 'portable'}`, requires, () => {
    // The others are the business of the case of f32, or of that without subgroups.
    const known = [
      ...(storage === 'f32' ? [] : [everyKernel(subgroups, 'f32')]),
      ...(subgroups ? [everyKernel(false, storage)] : []),
    ];
    const own = [...everyKernel(subgroups, storage).values()].filter(
      ({ code }) => !known.some((kernels) => kernels.has(code)),
    );
    // Beside f32 a kernel differs in how it loads and stores: some functions, which one in three has in every combination.
    return storage === 'f32' ? own : own.filter((_, i) => i % 3 === 0);
  });
};

/** As a program that has nothing of this library compiles them: with the layout that WebGPU reads off the text. */
const described = (dtype: FloatDType): Case => ({
  name: `variants: descriptions, ${dtype}`,
  requires: dtype === 'f16' ? ['f16'] : [],
  timeout: 300_000,
  async run({ device, note }) {
    const all = describedCases.filter(({ options }) => options.dtype === dtype);
    const some = dtype === 'f32' ? all : all.filter((_, i) => i % 3 === 0);
    const codes = new Set(
      some.flatMap(({ op, options }) => describe(op, options).dispatches.map(({ wgsl }) => wgsl)),
    );
    for (const code of codes) {
      const module = device.createShaderModule({ code });
      await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    }
    assert(codes.size > 15, `There are but ${codes.size}.`);
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
