import { init } from '../../src/index.ts';
import type { Case } from './case.ts';

export interface SelfCheck extends Case {
  /** What the failure must say: another failure proves nothing. */
  failure: RegExp;
}

/**
 * Cases that must fail: they prove in every engine that the harness would notice. They are not part of
 * `allCases`; `gpu.test.ts` runs them and expects the failure.
 */
export const selfChecks: SelfCheck[] = [
  {
    name: 'self-check: a case that throws fails',
    failure: /thrown on purpose/,
    run() {
      throw new Error('thrown on purpose');
    },
  },
  {
    name: 'self-check: an uncaptured validation error fails the case that caused it',
    failure: /uncaptured GPU error/,
    run: ({ device }) => misuse(device),
  },
  {
    name: 'self-check: an uncaptured validation error on a device of its own fails the case',
    failure: /uncaptured GPU error/,
    async run({ navigatorGpu }) {
      misuse((await init({ gpu: navigatorGpu })).device);
    },
  },
  {
    name: 'self-check: an error other than the announced one fails the case',
    failure: /uncaptured GPU error/,
    run({ device, expectValidationErrors }) {
      expectValidationErrors(/no engine words it like this/);
      misuse(device);
    },
  },
];

function misuse(device: GPUDevice): void {
  const encoder = device.createCommandEncoder();
  const source = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_SRC });
  const target = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_SRC });
  encoder.copyBufferToBuffer(source, 0, target, 0, 4); // the target lacks COPY_DST
  device.queue.submit([encoder.finish()]);
}
