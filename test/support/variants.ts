/** The table of legal shader variants: what every combination of geometry, dtype and schedule links. */
import { modelOfClass } from '../../src/gpu/device-model.ts';
import type { FloatDType } from '../../src/gpu/dtype.ts';
import type { DeviceFacts } from '../../src/gpu/facts.ts';
import type { Kernel, Program, Step } from '../../src/gpu/program.ts';
import { type Activation, activations } from '../../src/kernels/activation.ts';
import { backwardProgram } from '../../src/kernels/backward.ts';
import { castProgram } from '../../src/kernels/cast.ts';
import type { NormDescriptor } from '../../src/kernels/descriptor.ts';
import { foldProgram } from '../../src/kernels/fold.ts';
import { forwardProgram } from '../../src/kernels/forward.ts';
import {
  clipFactorProgram,
  clipValuesProgram,
  gradientNormProgram,
  scaledProgram,
  scaleGradientsProgram,
  updateScaleProgram,
} from '../../src/kernels/gradients.ts';
import {
  averageProgram,
  countProgram,
  countStepsProgram,
  type UpdateKernel,
  updateProgram,
} from '../../src/kernels/optim.ts';
import { responseBackward, responseForward } from '../../src/kernels/response.ts';
import {
  layerNormForward,
  rmsNormForward,
  rowBackwardKernels,
  tanhBackward,
  tanhForward,
} from '../../src/kernels/row-kernels.ts';
import { adagradKernel } from '../../src/optim/adagrad.ts';
import { adamKernel } from '../../src/optim/adam.ts';
import { adamaxKernel } from '../../src/optim/adamax.ts';
import { rmspropKernel } from '../../src/optim/rmsprop.ts';
import { sgdKernel } from '../../src/optim/sgd.ts';
import type { Geometry } from '../../src/plan/geometry.ts';
import { type ScheduleOptions, strategiesOf } from '../../src/plan/strategy.ts';

const usual: DeviceFacts = {
  ...modelOfClass('desktop'),
  software: false,
  iterations: Number.POSITIVE_INFINITY,
  f16: true,
  subgroup: 4,
  maxInvocations: 256,
  maxBindingBytes: 2 ** 27,
  maxWorkgroupsPerDimension: 65_535,
  offsetAlignment: 256,
};

const onSoftware: DeviceFacts = { ...usual, ...modelOfClass('software'), software: true };
const onSmall: DeviceFacts = { ...usual, threads: 64 };

export { usual as facts };

const geometries: Geometry[] = [
  { samples: 4, positions: 1, channels: 64, inner: 1, groups: 1 },
  { samples: 4, positions: 1, channels: 63, inner: 1, groups: 1 },
  { samples: 2, positions: 1, channels: 8, inner: 16, groups: 2 },
  { samples: 2, positions: 1, channels: 8, inner: 15, groups: 2 },
  { samples: 2, positions: 16, channels: 8, inner: 1, groups: 2 },
  { samples: 2, positions: 16, channels: 7, inner: 1, groups: 7 },
  // BatchNorm, with running statistics.
  { samples: 1, positions: 4, channels: 8, inner: 64, groups: 8 },
  { samples: 1, positions: 4, channels: 7, inner: 65, groups: 7 },
  { samples: 1, positions: 64, channels: 64, inner: 16, groups: 64 },
  { samples: 1, positions: 4, channels: 8, inner: 4, groups: 8 },
  { samples: 1, positions: 64, channels: 8, inner: 1, groups: 8 },
];

/** Which storage types: those of every device, WGSL's f16 too, or those that are packed, f16 as without shader-f16 among them. */
export type Storage = 'f32' | 'f16' | 'packed';

const dtypesOf: Readonly<Record<Storage, readonly (readonly [FloatDType, FloatDType])[]>> = {
  f32: [['f32', 'f32']],
  f16: [
    ['f32', 'f32'],
    ['f16', 'f16'],
    ['f16', 'f32'],
  ],
  packed: [
    ['bf16', 'bf16'],
    ['f16', 'f32'],
  ],
};

const typesOf = (storage: Storage): FloatDType[] => [...new Set(dtypesOf[storage].flat())];

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

/** Each activation, and each way that one is called. Which of them goes with which kernel makes no difference to either. */
const epilogues: Pick<NormDescriptor, 'activation' | 'negativeSlope' | 'residual' | 'gated'>[] = [
  ...(['none', ...Object.keys(activations)] as Activation[]).map(
    (activation) => ({ activation, negativeSlope: 0.2, residual: 'none' }) as const,
  ),
  { activation: 'none', negativeSlope: 0, residual: 'after' },
  { activation: 'relu', negativeSlope: 0, residual: 'after' },
  { activation: 'none', negativeSlope: 0, residual: 'after', gated: true },
  { activation: 'silu', negativeSlope: 0, residual: 'after', gated: true },
];

/** Every kernel, once, by its code. `subgroups` says whether to shuffle. */
export function everyKernel(subgroups: boolean, storage: Storage): Map<string, Kernel> {
  return new Map(everyStep(subgroups, storage).map(({ kernel }) => [kernel.code, kernel]));
}

/** The steps of the programs that have every kernel. */
export function everyStep(subgroups: boolean, storage: Storage): Step[] {
  const [facts, software, small] = [usual, onSoftware, onSmall].map((one) => ({
    ...one,
    f16: storage !== 'packed',
    // What says nothing of its reduction has that of the device.
    subgroup: subgroups ? one.subgroup : 0,
  })) as [DeviceFacts, DeviceFacts, DeviceFacts];
  const steps: Step[] = [];
  const add = (program: Program) => {
    steps.push(...program.steps);
  };
  for (const from of typesOf(storage)) {
    for (const to of typesOf(storage)) add(castProgram(1, from, to, facts));
  }
  for (const program of foldPrograms(storage, facts)) add(program);
  const reduction = subgroups ? 'subgroups' : 'portable';
  for (const geometry of geometries) {
    const perRow = geometry.positions === 1 && geometry.inner === 1;
    for (const [dtype, paramDtype] of dtypesOf[storage]) {
      for (const kind of perRow ? (['moments', 'rms'] as const) : (['moments'] as const)) {
        for (const affine of kind === 'rms' ? [...affines, ...rmsAffines] : affines) {
          for (const direction of ['forward', 'backward'] as const) {
            for (const strategy of strategiesOf(geometry, direction)) {
              const schedule: ScheduleOptions = {
                strategy,
                reduction,
                workgroup: 32,
                ...(strategy === 'registers' ? { lanes: 8 } : {}),
                ...(strategy === 'thread' ? { fourRows: true } : {}),
                ...(strategy === 'split' && (geometry.positions === 1 || geometry.inner > 1)
                  ? { lanes: 8, splits: 2 }
                  : {}),
              };
              const wants = { dweight: affine.weight, dbias: affine.bias };
              const few = epilogues.filter(
                ({ activation }) => activation === 'none' || activation === 'relu',
              );
              const some =
                kind === 'rms' || !affine.weight
                  ? epilogues.slice(0, 1)
                  : geometry === geometries[0] && dtype === 'f32'
                    ? epilogues
                    : few;
              for (const epilogue of some) {
                const d: NormDescriptor = {
                  geometry,
                  kind,
                  dtype,
                  paramDtype,
                  eps: 1e-5,
                  ...affine,
                  ...epilogue,
                  schedule,
                };
                const backward = {
                  ...d,
                  ...wants,
                  bias: d.bias && (d.activation !== 'none' || d.gated === true),
                  residual: d.activation === 'none' && !d.gated ? 'none' : d.residual,
                  dsum: false,
                  accumulate: { dweight: false, dbias: false },
                } as const;
                // A software adapter merges partial results in dispatches of their own, and a small GPU has several planes a worker.
                for (const device of strategy === 'split' ? [facts, software, small] : [facts]) {
                  add(
                    direction === 'forward' ? forwardProgram(d, device) : backwardProgram(backward, device),
                  );
                }
                if (geometry.groups === geometry.channels) {
                  for (const running of ['update', 'frozen'] as const) {
                    add(forwardProgram({ ...d, running, momentum: null, counted: true }, facts));
                    add(forwardProgram({ ...d, running, momentum: null, counted: true }, software));
                  }
                  if (d.activation === 'none' && d.residual === 'none') {
                    const kept = { momentum: 0.1, counted: false, biased: true, variance: true } as const;
                    add(forwardProgram({ ...d, ...kept, running: 'update' }, facts));
                    add(forwardProgram({ ...d, ...kept, running: 'update', counted: true }, facts));
                    add(forwardProgram({ ...d, variance: true }, facts));
                  }
                  add(backwardProgram({ ...backward, frozen: true }, facts));
                  if (geometry.samples === 1) {
                    const of = { momentum: null, counted: true, total: 999 } as const;
                    add(forwardProgram({ ...d, stage: 'local' }, facts));
                    add(forwardProgram({ ...d, ...of, running: 'update', stage: 'joined' }, facts));
                    add(forwardProgram({ ...d, ...of, stage: 'joined' }, facts));
                    add(
                      forwardProgram(
                        { ...d, ...of, momentum: 0.1, running: 'update', stage: 'joined' },
                        facts,
                      ),
                    );
                    add(backwardProgram({ ...backward, stage: 'local' }, facts));
                    add(backwardProgram({ ...backward, stage: 'joined', total: 999 }, facts));
                  }
                }
                if (perRow && d.weight && ['none', 'relu'].includes(d.activation)) {
                  // Rows that lie apart in every operand.
                  const { channels } = geometry;
                  const apart = {
                    runs: [channels, 9, 9],
                    steps: [channels + 4, 900, 9000],
                    first: 4,
                    span: 99,
                  } as const;
                  const roles = ['x', 'residual', 'y', 'sum', 'dy', 'dsum', 'dx', 'dresidual'];
                  const layouts = Object.fromEntries(roles.map((role) => [role, apart]));
                  add(
                    direction === 'forward'
                      ? forwardProgram({ ...d, layouts }, facts)
                      : backwardProgram({ ...backward, layouts }, facts),
                  );
                }
                if (perRow && d.activation === 'none' && d.residual === 'none') {
                  const { samples, channels } = geometry;
                  const blocks = { ...geometry, samples: samples / 2, channels: 2 * channels, groups: 2 };
                  const blocked = { geometry: blocks, blocked: true } as const;
                  add(
                    direction === 'forward'
                      ? forwardProgram({ ...d, ...blocked }, facts)
                      : backwardProgram({ ...backward, ...blocked }, facts),
                  );
                  const yDtype = dtype === 'f32' ? 'bf16' : 'f32';
                  add(forwardProgram({ ...d, yDtype }, facts));
                  add(backwardProgram({ ...backward, yDtype }, facts));
                  add(forwardProgram({ ...d, statistics: false }, facts));
                  add(forwardProgram({ ...d, residual: 'before' }, facts));
                  add(
                    backwardProgram(
                      { ...backward, dsum: true, accumulate: { dweight: true, dbias: true } },
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
  for (const program of keptPrograms(storage, facts)) add(program);
  if (storage !== 'f32') for (const program of partPrograms(reduction, facts)) add(program);
  for (const program of otherRowPrograms(storage, facts)) add(program);
  for (const program of responsePrograms(storage, facts)) add(program);
  for (const program of optimizerPrograms(storage, facts)) add(program);
  return steps;
}

/** Rows of length 1, and tanh: what they have beside RMSNorm does not depend on how rows are loaded and merged. */
function otherRowPrograms(storage: Storage, facts: DeviceFacts): Program[] {
  const rows: Geometry = { samples: 6, positions: 1, channels: 64, inner: 1, groups: 1 };
  const kept: Geometry = {
    samples: 2,
    positions: 12,
    channels: 8,
    inner: 1,
    groups: 8,
    runs: { reduced: [12], kept: [8] },
  };
  return dtypesOf[storage].flatMap(([dtype, paramDtype]) => {
    const common = {
      dtype,
      paramDtype,
      eps: 0,
      weight: true,
      bias: false,
      weightOffset: 0,
      castFirst: false,
      activation: 'none',
      negativeSlope: 0,
      residual: 'none',
    } as const;
    const gradients = {
      dweight: true,
      dbias: false,
      dsum: false,
      accumulate: { dweight: false, dbias: false },
    };
    const both = [
      { geometry: rows, schedule: { strategy: 'registers', lanes: 16 } },
      { geometry: rows, schedule: { strategy: 'split', splits: 2 } },
      { geometry: kept, schedule: {} },
    ] as const;
    const lengths = both.flatMap((own) => {
      const d = { ...common, ...own, kind: 'l2', mostRstd: 8 } as const;
      return [rmsNormForward.forward(d, facts), rowBackwardKernels.backward({ ...d, ...gradients }, facts)];
    });
    const d = { ...common, geometry: rows, schedule: {}, kind: 'tanh', bias: true } as const;
    const dalpha = { accumulate: false };
    return [
      ...lengths,
      tanhForward.forward({ ...d, statistics: false }, facts),
      tanhBackward.backward({ ...d, ...gradients, bias: false, dbias: true, dalpha }, facts),
    ];
  });
}

/** Kept axes behind reduced ones and between them, by themselves and in a workgroup, with all that may go with them. */
function keptPrograms(storage: Storage, facts: DeviceFacts): Program[] {
  const geometries: Geometry[] = [
    { samples: 2, positions: 200, channels: 8, inner: 1, groups: 8, runs: { reduced: [200], kept: [8] } },
    {
      samples: 2,
      positions: 12,
      channels: 15,
      inner: 1,
      groups: 15,
      runs: { reduced: [4, 3], kept: [5, 3] },
    },
  ];
  const schedules: ScheduleOptions[] = [
    { strategy: 'thread', fourRows: true },
    { strategy: 'thread', fourRows: false },
    { strategy: 'workgroup', workgroup: 32, lanes: 4 },
    { strategy: 'workgroup', workgroup: 32, lanes: 1 },
  ];
  const whole = epilogues.filter(({ activation }) => activation === 'none' || activation === 'relu');
  return geometries.flatMap((geometry, i) =>
    dtypesOf[storage].flatMap(([dtype, paramDtype]) =>
      schedules.flatMap((schedule) =>
        (['moments', 'rms'] as const).flatMap((kind) =>
          (kind === 'rms' ? rmsAffines : affines).flatMap((affine) =>
            (kind === 'rms' || !affine.weight || i > 0 ? whole.slice(0, 1) : whole).flatMap((epilogue) => {
              const d = { geometry, kind, dtype, paramDtype, eps: 1e-5, ...affine, ...epilogue, schedule };
              const activated = d.activation !== 'none' || d.gated === true;
              const backward = {
                ...d,
                bias: d.bias && activated,
                residual: activated ? d.residual : 'none',
                dweight: affine.weight,
                dbias: affine.bias,
                dsum: false,
                accumulate: { dweight: false, dbias: false },
              } as const;
              const { forward: run } = kind === 'rms' ? rmsNormForward : layerNormForward;
              const some = [run(d, facts), rowBackwardKernels.backward(backward, facts)];
              if (activated || d.residual !== 'none') return some;
              const parts = { ...facts, maxBindingBytes: 8192 };
              const adds = { ...backward, dsum: true } as const;
              return [
                ...some,
                run({ ...d, residual: 'before', statistics: false }, facts),
                rowBackwardKernels.backward({ ...adds, geometry: { ...geometry, samples: 4 } }, parts),
                rowBackwardKernels.backward({ ...adds, dweight: false, dbias: false }, facts),
              ];
            }),
          ),
        ),
      ),
    ),
  );
}

/** Gradients of several parts, which meet in f32. */
function partPrograms(reduction: 'portable' | 'subgroups', facts: DeviceFacts): Program[] {
  const d = {
    geometry: { samples: 4000, positions: 1, channels: 8, inner: 16, groups: 2 },
    kind: 'moments',
    dtype: 'f16',
    paramDtype: 'f16',
    eps: 1e-5,
    ...(affines[0] as Affine),
    bias: false,
    ...(epilogues[0] as (typeof epilogues)[number]),
    dweight: true,
    dbias: true,
    dsum: false,
    accumulate: { dweight: false, dbias: false },
    schedule: { reduction, workgroup: 32 },
  } as const;
  return [backwardProgram(d, { ...facts, leastWorkspace: 2 ** 15 })];
}

/** BatchNorm folded into weights, with all that either may have. */
function foldPrograms(storage: Storage, facts: DeviceFacts): Program[] {
  return dtypesOf[storage].flatMap(([dtype, paramDtype]) =>
    [true, false].map((has) => {
      const parts = { linearBias: has, weight: has, bias: has };
      return foldProgram(
        { channels: 4, outer: 1, width: 4, inner: 9, dtype, paramDtype, eps: 1e-5, ...parts },
        facts,
      );
    }),
  );
}

/** Local response normalization: elements and quads, exponents. It has no reductions to vary. */
function responsePrograms(storage: Storage, facts: DeviceFacts): Program[] {
  const geometry = { samples: 2, positions: 1, channels: 7, inner: 16, groups: 0 };
  return [geometry, { ...geometry, inner: 15 }].flatMap((each) =>
    typesOf(storage).flatMap((dtype) =>
      [0.75, 0.5, 1, 0.6].flatMap((beta) => {
        const d = { geometry: each, dtype, size: 5, alpha: 1e-4, beta, k: 1 };
        return [responseForward(d, facts), responseBackward(d, facts)];
      }),
    ),
  );
}

const common = {
  lr: 1,
  maximize: false,
  masterCopies: false,
  eps: 1,
  weightDecay: 0,
  betas: [0, 0] as const,
};

/** Every kernel of an optimizer. */
const updateKernels: readonly UpdateKernel[] = [
  ...[
    { momentum: 0, dampening: 0, nesterov: false },
    { momentum: 1, dampening: 0, nesterov: false },
    { momentum: 1, dampening: 1, nesterov: false },
    { momentum: 1, dampening: 0, nesterov: true },
  ].map((some) => sgdKernel({ ...common, ...some })),
  ...[false, true].map((amsgrad) => adamKernel({ ...common, amsgrad })),
  ...[false, true].flatMap((centered) =>
    [0, 1].map((momentum) => rmspropKernel({ ...common, alpha: 0, centered, momentum })),
  ),
  adagradKernel,
  adamaxKernel,
];

function optimizerPrograms(storage: Storage, facts: DeviceFacts): Program[] {
  return typesOf(storage).flatMap((dtype) => [
    ...[0, 3].flatMap((places) => {
      const d = { size: 9, dtype, places };
      return [
        // With f32 copies of narrower parameters, and without.
        ...(['f32', dtype] as const).flatMap((paramDtype) =>
          updateKernels.map((kernel) =>
            updateProgram(kernel, { ...d, dtype: paramDtype, gradDtype: dtype }, facts),
          ),
        ),
        ...([0, 1, 2] as const).map((norm) => gradientNormProgram(d, norm, 0, facts)),
        ...[false, true].map((finds) => scaleGradientsProgram(d, finds, facts)),
        clipValuesProgram(d, 1, facts),
      ];
    }),
    ...([0, 1, 2] as const).map((norm) => clipFactorProgram(9, norm, 1)),
    scaledProgram(9, dtype, dtype, facts),
    updateScaleProgram({ optimizers: 1, stride: 64, growth: 2, backoff: 0.5, growth_interval: 9 }),
    countStepsProgram(9, facts),
    ...(['f32', dtype] as const).flatMap((averageDtype) =>
      [null, 0.9].map((decay) => averageProgram({ size: 9, dtype, averageDtype }, decay, facts)),
    ),
    countProgram(),
    castProgram(9, 'u32', 'u32', facts),
  ]);
}
