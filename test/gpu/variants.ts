/** Every shader variant compiles on this engine. */
import { assert } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { everyKernel } from '../support/variants.ts';

const compile = (name: string, subgroups: boolean, f16: boolean, requires: Case['requires']): Case => ({
  name: `variants: ${name}`,
  requires: requires ?? [],
  timeout: 300_000,
  async run({ gpu, note }) {
    const kernels = [...everyKernel(subgroups, f16).values()].filter(
      // The other half is the business of the case without f16.
      ({ key }) => !f16 || key.includes('.f16.'),
    );
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

export const cases: Case[] = [
  compile('f32, portable', false, false, []),
  compile('f32, subgroups', true, false, ['subgroups']),
  compile('f16, portable', false, true, ['f16']),
  compile('f16, subgroups', true, true, ['f16', 'subgroups']),
];
