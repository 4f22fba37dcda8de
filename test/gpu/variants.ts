/** Every shader variant compiles on this engine. */
import type { Kernel } from '../../src/gpu/program.ts';
import { assert } from '../harness/assert.ts';
import type { Case, Requirement } from '../harness/case.ts';
import { everyKernel } from '../support/variants.ts';

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

const variants = (subgroups: boolean, f16: boolean): Case => {
  const requires: Requirement[] = [];
  if (f16) requires.push('f16');
  if (subgroups) requires.push('subgroups');
  return compile(`${f16 ? 'f16' : 'f32'}, ${subgroups ? 'subgroups' : 'portable'}`, requires, () =>
    // The other half is the business of the case without f16.
    [...everyKernel(subgroups, f16).values()].filter(
      ({ constants: { X, W } }) => !f16 || X === 'f16' || W === 'f16',
    ),
  );
};

export const cases: Case[] = [
  variants(false, false),
  variants(true, false),
  variants(false, true),
  variants(true, true),
];
