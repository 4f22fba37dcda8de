/** What every program asks of a device, whatever the geometry and however small the device's limits. */
import { describe, expect, it } from 'vitest';
import { gridOf } from '../../src/gpu/bound.ts';
import { NormError } from '../../src/gpu/errors.ts';
import type { DeviceFacts } from '../../src/gpu/facts.ts';
import { type Program, scratchBytes } from '../../src/gpu/program.ts';
import type { Activation } from '../../src/kernels/activation.ts';
import { backwardProgram } from '../../src/kernels/backward.ts';
import type { NormDescriptor } from '../../src/kernels/descriptor.ts';
import { forwardProgram } from '../../src/kernels/forward.ts';
import {
  batchNormGeometry,
  elementCount,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  layerNormGeometry,
  setCount,
} from '../../src/plan/geometry.ts';
import type { ScheduleOptions } from '../../src/plan/strategy.ts';
import { workspaceCap } from '../../src/plan/workspace.ts';
import { random } from '../support/data.ts';
import { facts as floor } from '../support/variants.ts';

interface Drawn {
  geometry: Geometry;
  kind: 'moments' | 'rms';
  dtype: 'f32' | 'f16';
  paramDtype: 'f32' | 'f16';
  yDtype?: 'f32' | 'f16' | undefined;
  activation: Activation;
  residual: 'none' | 'before' | 'after';
  running?: 'update' | 'frozen' | undefined;
  statistics?: false | undefined;
  facts: DeviceFacts;
}

/** Sizes are spread over their magnitudes, so that one and a million are as likely. */
function draw(next: () => number): Drawn {
  const size = (most: number) => Math.floor(most ** next());
  const pick = <T>(...options: T[]): T => options[Math.floor(next() * options.length)] as T;
  const layout = pick('channels-first', 'channels-last' as const);
  const spatial = () => (layout === 'channels-first' ? [size(1e4)] : [size(100), size(100)]);
  const geometry = pick(
    () => {
      const [rows, cols] = [size(1e7), size(1e6)];
      return layerNormGeometry([rows, cols], [cols]);
    },
    () => {
      const groups = size(64);
      const [samples, channels] = [size(1e4), groups * size(64)];
      const shape =
        layout === 'channels-first' ? [samples, channels, ...spatial()] : [samples, ...spatial(), channels];
      return groupNormGeometry(shape, groups, layout);
    },
    () => {
      const [samples, channels] = [size(1e4), size(1000)];
      const shape =
        layout === 'channels-first' ? [samples, channels, ...spatial()] : [samples, ...spatial(), channels];
      return instanceNormGeometry(shape, layout);
    },
    () => groupNormGeometry([size(1e5), 8 * size(512)], 8, 'channels-first'),
    () => {
      const [samples, channels] = [size(1e4), size(1000)];
      const shape =
        layout === 'channels-first' ? [samples, channels, ...spatial()] : [samples, ...spatial(), channels];
      return batchNormGeometry(shape, layout);
    },
    () => layerNormGeometry([pick(0, size(100)), 8], [8]),
  )();
  const perRow = geometry.positions === 1 && geometry.inner === 1 && geometry.groups === 1;
  const [dtype, paramDtype] = pick(['f32', 'f32'], ['f16', 'f16'], ['f16', 'f32'] as const) as [
    'f32' | 'f16',
    'f32' | 'f16',
  ];
  const kind = perRow ? pick('moments', 'rms') : 'moments';
  const residual = perRow ? pick('none', 'before', 'after') : pick('none', 'after');
  const perChannel = geometry.groups === geometry.channels;
  return {
    geometry,
    kind,
    dtype,
    paramDtype,
    activation: kind === 'rms' || residual === 'before' ? 'none' : pick('none', 'relu', 'leakyRelu', 'gelu'),
    residual: kind === 'rms' && residual === 'after' ? 'none' : residual,
    running: perChannel && residual === 'none' ? pick(undefined, 'update', 'frozen') : undefined,
    statistics: pick(undefined, false),
    yDtype: residual === 'after' ? undefined : pick(undefined, dtype === 'f32' ? 'f16' : 'f32'),
    facts: {
      ...floor,
      software: pick(true, false),
      subgroup: pick(0, 4, 32),
      maxInvocations: pick(256, 1024),
      maxBindingBytes: pick(2 ** 16, 2 ** 20, 2 ** 27),
      offsetAlignment: pick(32, 256),
    },
  };
}

/** Bytes of a role's whole tensor. */
function tensorBytes(role: string, { geometry, dtype, paramDtype, yDtype = dtype }: Drawn): number {
  const bytes = { f32: 4, f16: 2 };
  if (role === 'weight' || role === 'bias' || role === 'dweight' || role === 'dbias') {
    return geometry.channels * bytes[paramDtype];
  }
  if (role === 'running_mean' || role === 'running_var') return 4 * geometry.channels;
  if (role === 'mean') return 8 * setCount(geometry);
  if (role === 'rstd') return 4 * setCount(geometry);
  return elementCount(geometry) * bytes[role === 'y' || role === 'dy' ? yDtype : dtype];
}

/** What a program asks for that the device does not have. */
function faultsOf(program: Program, drawn: Drawn): string[] {
  const { facts, geometry } = drawn;
  const faults = new Set<string>();
  for (const [role, bytes] of Object.entries(program.scratch)) {
    if (!(bytes > 0 && bytes <= facts.maxBindingBytes)) faults.add(`scratch ${role} of ${bytes} bytes`);
  }
  const cap = workspaceCap(geometry, drawn.dtype === 'f16' ? 2 : 4, facts);
  // Statistics that nobody wants may take as much as those that are tensors.
  const { mean, rstd, ...partial } = program.scratch;
  const bytes = scratchBytes({ ...program, scratch: drawn.statistics === false ? partial : program.scratch });
  if (bytes > cap) faults.add(`${bytes} bytes of scratch, above ${cap}`);
  const sets = setCount(drawn.geometry);
  if ((mean ?? 8 * sets) !== 8 * sets || (rstd ?? 4 * sets) !== 4 * sets) {
    faults.add(`${mean} and ${rstd} bytes of statistics of ${sets} sets`);
  }
  for (const { kernel, ranges, workgroups } of program.steps) {
    const { name } = kernel;
    for (const { role } of kernel.bindings) {
      const inScratch = program.scratch[role];
      const whole = inScratch ?? tensorBytes(role, drawn);
      const { offset, size } = ranges[role] ?? { offset: 0, size: whole };
      if (!(size <= facts.maxBindingBytes)) faults.add(`${name} binds ${size} bytes of ${role}`);
      if (offset % facts.offsetAlignment !== 0) faults.add(`${name} binds ${role} at ${offset}`);
      const end = Math.ceil(whole / 4) * 4;
      if (!(offset >= 0 && size >= 0) || (whole > 0 && offset + size > end)) {
        faults.add(`${name} binds ${role} from ${offset} to ${offset + size} of ${whole}`);
      }
    }
    if (kernel.bindings.length > 8) faults.add(`${name} has ${kernel.bindings.length} bindings`);
    for (const [constant, value] of Object.entries(kernel.constants)) {
      if (typeof value !== 'number') continue; // flags, types, and what the shader itself says
      const any = value === 0 || constant === 'NEGATIVE_SLOPE';
      if (!any && !(Number.isInteger(value) && value >= 1)) faults.add(`${name}: ${constant} is ${value}`);
      if ((constant === 'WORKGROUP' || constant === 'LANES') && !(value >= 1)) {
        faults.add(`${name}: ${constant} is ${value}`);
      }
      if (constant === 'WORKGROUP' && value > facts.maxInvocations) faults.add(`${name}: ${value} threads`);
    }
    if (!(Number.isInteger(workgroups) && workgroups >= 1)) faults.add(`${name}: ${workgroups} workgroups`);
    else {
      const [columns, lines] = gridOf(workgroups, facts.maxWorkgroupsPerDimension);
      if (!(columns * lines >= workgroups)) faults.add(`${name}: ${columns} x ${lines} < ${workgroups}`);
    }
  }
  return [...faults];
}

function layerNormBackward({ facts, ...d }: Drawn, schedule: ScheduleOptions = {}): Program {
  return backwardProgram(
    {
      ...{ ...d, eps: 1e-5, weight: true, weightOffset: 0, castFirst: false, negativeSlope: 0, schedule },
      ...{ bias: false, residual: 'none', frozen: false, dsum: false, dweight: true, dbias: true },
      accumulate: { dweight: false, dbias: false },
    },
    facts,
  );
}

describe('programs', () => {
  it('of rows in registers are whole where dweight and dbias take all the scratch there is', () => {
    const facts = { ...floor, software: false, subgroup: 32, maxInvocations: 1024, maxBindingBytes: 2 ** 27 };
    const found: string[] = [];
    for (const [rows, cols, dtype] of [
      [65_536, 512, 'f16'],
      [50_176, 512, 'f32'],
      [50_176, 256, 'f32'],
      [1004, 512, 'f32'],
    ] as const) {
      const geometry = layerNormGeometry([rows, cols], [cols]);
      const drawn: Drawn = {
        ...{
          geometry,
          kind: 'moments',
          dtype,
          paramDtype: dtype,
          activation: 'none',
          residual: 'none',
          facts,
        },
      };
      found.push(...faultsOf(layerNormBackward(drawn), drawn));
    }
    expect(found).toEqual([]);
  });

  it('do not fall into parts of single rows where more splits are asked for than scratch has room', () => {
    const drawn: Drawn = {
      geometry: layerNormGeometry([51_200, 512], [512]),
      ...{
        kind: 'moments',
        dtype: 'f32',
        paramDtype: 'f32',
        activation: 'none',
        residual: 'none',
        facts: floor,
      },
    };
    for (const strategy of ['split', 'registers'] as const) {
      const { steps } = layerNormBackward(drawn, { strategy, splits: 256 });
      expect(steps.length, strategy).toBeLessThan(1000);
    }
  });

  it('ask nothing of a device that it has not, for any geometry', () => {
    const next = random(7);
    const found: string[] = [];
    let refused = 0;
    let made = 0;
    for (let i = 0; i < 3000; i++) {
      const drawn = draw(next);
      const { facts, running, statistics, ...rest } = drawn;
      // As the front end does: tensors that no buffer could hold are not made.
      if (elementCount(drawn.geometry) > 2 ** 30) continue;
      const d: NormDescriptor = {
        ...rest,
        eps: 1e-5,
        weight: true,
        bias: drawn.kind === 'moments',
        weightOffset: 0,
        castFirst: false,
        negativeSlope: drawn.activation === 'leakyRelu' ? 0.2 : 0,
        schedule: {},
      };
      const gradients = { dweight: true, dbias: drawn.kind === 'moments' };
      const makers = {
        forward: () => forwardProgram({ ...d, running, momentum: 0.1, counted: false, statistics }, facts),
        backward: () =>
          backwardProgram(
            {
              ...d,
              ...gradients,
              bias: d.bias && d.activation !== 'none',
              residual: d.residual === 'after' && d.activation !== 'none' ? 'after' : 'none',
              frozen: running === 'frozen',
              dsum: d.residual === 'before',
              accumulate: { dweight: false, dbias: false },
            },
            facts,
          ),
      };
      for (const [direction, make] of Object.entries(makers)) {
        try {
          const faults = faultsOf(make(), drawn);
          made += 1;
          if (faults.length > 0) {
            const { geometry, dtype, paramDtype, kind } = drawn;
            found.push(
              `${direction} ${kind} ${JSON.stringify(geometry)} ${dtype}/${paramDtype} ${JSON.stringify(facts)}: ${faults.join('; ')}`,
            );
          }
        } catch (error) {
          if (!(error instanceof NormError) || error.code !== 'limit') throw error;
          refused += 1;
          // What a binding holds easily, statistics and sums and all, is no reason to refuse.
          const { geometry, dtype } = drawn;
          const sample = elementCount({ ...geometry, samples: 1 }) * (dtype === 'f16' ? 2 : 4);
          const most = Math.max(64 * sample, 64 * setCount(geometry), 64 * geometry.channels);
          if (most <= facts.maxBindingBytes) {
            found.push(`${direction} ${JSON.stringify(geometry)} was refused: ${error.message}`);
          }
        }
      }
    }
    expect(found.slice(0, 5), `${found.length} of ${made} programs, ${refused} refused`).toEqual([]);
    expect(made).toBeGreaterThan(refused);
  }, 60_000);
});
