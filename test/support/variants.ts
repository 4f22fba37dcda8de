/** The table of legal shader variants: what every combination of geometry, dtype and schedule assembles. */
import type { DeviceFacts } from '../../src/gpu/facts.ts';
import type { Kernel, Program } from '../../src/gpu/program.ts';
import { backwardProgram } from '../../src/kernels/backward.ts';
import type { NormDescriptor } from '../../src/kernels/descriptor.ts';
import { forwardProgram } from '../../src/kernels/forward.ts';
import type { Geometry } from '../../src/plan/geometry.ts';
import { type ScheduleOptions, strategiesOf } from '../../src/plan/strategy.ts';

export const facts: DeviceFacts = {
  software: false,
  iterations: Number.POSITIVE_INFINITY,
  f16: true,
  subgroup: 4,
  maxInvocations: 256,
  maxBindingBytes: 2 ** 27,
  maxWorkgroupsPerDimension: 65_535,
  offsetAlignment: 256,
};

const geometries: Geometry[] = [
  { samples: 4, positions: 1, channels: 64, inner: 1, groups: 1 },
  { samples: 4, positions: 1, channels: 63, inner: 1, groups: 1 },
  { samples: 2, positions: 1, channels: 8, inner: 16, groups: 2 },
  { samples: 2, positions: 1, channels: 8, inner: 15, groups: 2 },
  { samples: 2, positions: 16, channels: 8, inner: 1, groups: 2 },
  { samples: 2, positions: 16, channels: 7, inner: 1, groups: 7 },
  // BatchNorm, with running statistics.
  { samples: 1, positions: 4, channels: 8, inner: 16, groups: 8 },
  { samples: 1, positions: 4, channels: 7, inner: 15, groups: 7 },
  { samples: 1, positions: 64, channels: 8, inner: 1, groups: 8 },
];

const dtypes = [
  ['f32', 'f32'],
  ['f16', 'f16'],
  ['f16', 'f32'],
] as const;

interface Affine {
  weight: boolean;
  bias: boolean;
  weightOffset: number;
  castFirst: boolean;
}

const affines: Affine[] = [
  { weight: true, bias: true, weightOffset: 0, castFirst: false },
  { weight: false, bias: false, weightOffset: 0, castFirst: false },
];
const rmsAffines: Affine[] = [
  { weight: true, bias: false, weightOffset: 1, castFirst: false },
  { weight: true, bias: false, weightOffset: 0, castFirst: true },
];

/** Every kernel, once. `subgroups` says whether to shuffle. */
export function everyKernel(subgroups: boolean, f16: boolean): Map<string, Kernel> {
  const kernels = new Map<string, Kernel>();
  const add = ({ steps }: Program) => {
    for (const { kernel } of steps) kernels.set(kernel.key, kernel);
  };
  const reduction = subgroups ? 'subgroups' : 'portable';
  for (const geometry of geometries) {
    const perRow = geometry.positions === 1 && geometry.inner === 1;
    for (const [dtype, paramDtype] of dtypes) {
      if (dtype === 'f16' && !f16) continue;
      for (const kind of perRow ? (['moments', 'rms'] as const) : (['moments'] as const)) {
        for (const affine of kind === 'rms' ? [...affines, ...rmsAffines] : affines) {
          for (const direction of ['forward', 'backward'] as const) {
            for (const strategy of strategiesOf(geometry, direction)) {
              const schedule: ScheduleOptions = {
                strategy,
                reduction,
                workgroup: 32,
                ...(strategy === 'tile' ? { lanes: 8 } : {}),
                ...(strategy === 'thread' ? { fourRows: true } : {}),
                ...(strategy === 'split' && (geometry.positions === 1 || geometry.inner > 1)
                  ? { lanes: 8, slots: 2 }
                  : {}),
              };
              const d: NormDescriptor = { geometry, kind, dtype, paramDtype, eps: 1e-5, ...affine, schedule };
              if (geometry.samples === 1) {
                for (const running of ['update', 'frozen'] as const) {
                  add(
                    forwardProgram({ ...d, residual: false, running, momentum: null, counted: true }, facts),
                  );
                }
                const wants = { dweight: affine.weight, dbias: affine.bias, frozen: true };
                add(
                  backwardProgram(
                    { ...d, ...wants, dsum: false, accumulate: { dweight: false, dbias: false } },
                    facts,
                  ),
                );
              }
              for (const residual of perRow ? [false, true] : [false]) {
                if (direction === 'forward') add(forwardProgram({ ...d, residual }, facts));
                else {
                  const wants = { dweight: affine.weight, dbias: affine.bias };
                  add(
                    backwardProgram(
                      { ...d, ...wants, dsum: residual, accumulate: { dweight: residual, dbias: residual } },
                      facts,
                    ),
                  );
                }
              }
            }
          }
        }
      }
    }
  }
  return kernels;
}
