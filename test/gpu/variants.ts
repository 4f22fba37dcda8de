/** Every shader variant compiles on this engine. */
import { minifyWgsl, shortNames } from '../../scripts/lib/wgsl.mjs';
import type { Gpu } from '../../src/gpu/gpu.ts';
import type { Kernel } from '../../src/gpu/program.ts';
import * as sources from '../../src/kernels/sources.ts';
import { assert } from '../harness/assert.ts';
import type { Case, Requirement } from '../harness/case.ts';
import { everyKernel } from '../support/variants.ts';

const compile = (name: string, requires: Requirement[], kernelsOf: (gpu: Gpu) => Kernel[]): Case => ({
  name: `variants: ${name}`,
  requires,
  timeout: 300_000,
  async run({ gpu, note }) {
    const kernels = kernelsOf(gpu);
    const failures: string[] = [];
    for (let first = 0; first < kernels.length; first += 16) {
      await Promise.all(
        kernels.slice(first, first + 16).map((kernel) =>
          gpu
            .prepare({
              steps: [{ kernel, params: new ArrayBuffer(64), ranges: {}, workgroups: 1 }],
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

const variants = (subgroups: boolean, f16: boolean): Case => {
  const requires: Requirement[] = [];
  if (f16) requires.push('f16');
  if (subgroups) requires.push('subgroups');
  return compile(`${f16 ? 'f16' : 'f32'}, ${subgroups ? 'subgroups' : 'portable'}`, requires, () =>
    // The other half is the business of the case without f16.
    [...everyKernel(subgroups, f16).values()].filter(({ key }) => !f16 || key.includes('.f16.')),
  );
};

/** Of the variants, so many that every kernel, fragment and setting occurs, as the package's JavaScript has them. */
function shortKernels({ facts }: Gpu): Kernel[] {
  const names = shortNames(Object.values(sources));
  const seen = new Set<string>();
  const kernels = [...everyKernel(facts.subgroup > 0, facts.f16).values()].filter(({ key }) => {
    const fresh = key.split('.').filter((part) => !seen.has(part));
    for (const part of fresh) seen.add(part);
    return fresh.length > 0;
  });
  return kernels.map((kernel) => ({
    ...kernel,
    key: `${kernel.key}.short`,
    code: () => minifyWgsl(kernel.code(), names),
  }));
}

export const cases: Case[] = [
  variants(false, false),
  variants(true, false),
  variants(false, true),
  variants(true, true),
  compile('with short names', [], shortKernels),
];
