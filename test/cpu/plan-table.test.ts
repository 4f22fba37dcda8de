/** What is chosen for the shapes of the bench on three kinds of device, and what it takes of scratch. */
import { describe, expect, it } from 'vitest';
import { modelOfClass } from '../../src/gpu/device-model.ts';
import type { DeviceFacts } from '../../src/gpu/facts.ts';
import { scratchBytes } from '../../src/gpu/program.ts';
import { backwardProgram } from '../../src/kernels/backward.ts';
import type { NormDescriptor } from '../../src/kernels/descriptor.ts';
import { forwardProgram } from '../../src/kernels/forward.ts';
import { responseBackward } from '../../src/kernels/response.ts';
import {
  batchNormGeometry,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  layerNormGeometry,
} from '../../src/plan/geometry.ts';
import { scheduleBackward, scheduleForward } from '../../src/plan/schedule.ts';
import type { BackwardSchedule } from '../../src/plan/strategy.ts';
import { workspaceCap } from '../../src/plan/workspace.ts';
import { facts as floor } from '../support/variants.ts';

const devices: Record<string, DeviceFacts> = {
  // What a desktop GPU reports; WebGPU's floor; SwiftShader.
  gpu: { ...floor, subgroup: 32, maxInvocations: 1024, maxBindingBytes: 2 ** 32 - 4 },
  floor: { ...floor, f16: false, subgroup: 0 },
  software: {
    ...floor,
    ...modelOfClass('software'),
    f16: false,
    software: true,
    subgroup: 0,
    maxBindingBytes: 2 ** 30,
  },
};

const rows = (count: number, length: number) => layerNormGeometry([count, length], [length]);
const first = 'channels-first' as const;
const last = 'channels-last' as const;

const shapes: [name: string, geometry: Geometry][] = [
  ['rows 4096×1024', rows(4096, 1024)],
  ['rows 16384×256', rows(16_384, 256)],
  ['rows 512×4096', rows(512, 4096)],
  ['rows 64×65536', rows(64, 65_536)],
  ['rows 1×1048576', rows(1, 1_048_576)],
  ['rows 131072×128', rows(131_072, 128)],
  ['rows 65536×64', rows(65_536, 64)],
  ['rows 8192×8192', rows(8192, 8192)],
  ['rows 1024×12288', rows(1024, 12_288)],
  ['batch 8×64×56×56', batchNormGeometry([8, 64, 56, 56], first)],
  ['batch 8×56×56×64', batchNormGeometry([8, 56, 56, 64], last)],
  ['batch 32×256×14×14', batchNormGeometry([32, 256, 14, 14], first)],
  ['batch 32×14×14×256', batchNormGeometry([32, 14, 14, 256], last)],
  ['batch 4×3×256×256', batchNormGeometry([4, 3, 256, 256], first)],
  ['batch 4×256×256×3', batchNormGeometry([4, 256, 256, 3], last)],
  ['batch 64×64×112×112', batchNormGeometry([64, 64, 112, 112], first)],
  ['batch 64×112×112×64', batchNormGeometry([64, 112, 112, 64], last)],
  ['batch 1×2×2048×2048', batchNormGeometry([1, 2, 2048, 2048], first)],
  ['batch 1×2048×2048×2', batchNormGeometry([1, 2048, 2048, 2], last)],
  ['batch 65536×512', batchNormGeometry([65_536, 512], first)],
  ['batch 512×512×2×2', batchNormGeometry([512, 512, 2, 2], first)],
  ['batch 64×512×7×7', batchNormGeometry([64, 512, 7, 7], first)],
  ['batch 256×512×14×14', batchNormGeometry([256, 512, 14, 14], first)],
  ['batch 256×2048×7×7', batchNormGeometry([256, 2048, 7, 7], first)],
  ['group 8×320×64×64', groupNormGeometry([8, 320, 64, 64], 32, first)],
  ['group 8×64×64×320', groupNormGeometry([8, 64, 64, 320], 32, last)],
  ['group 2×512×128×128', groupNormGeometry([2, 512, 128, 128], 32, first)],
  ['group 65536×512', groupNormGeometry([65_536, 512], 32, first)],
  ['instance 4×3×256×256', instanceNormGeometry([4, 3, 256, 256], first)],
  ['instance 32×256×14×14', instanceNormGeometry([32, 256, 14, 14], first)],
  ['instance 32×14×14×256', instanceNormGeometry([32, 14, 14, 256], last)],
  ['instance 1×32×1048576', instanceNormGeometry([1, 32, 1_048_576], first)],
  ['instance 512×1024×7×7', instanceNormGeometry([512, 1024, 7, 7], first)],
];

/**
 * `registers 64s`: strategy, lanes, subgroups or portable; `×8` splits; `÷3` planes that share a partial; `→128` groups of rows
 * with a partial dweight and dbias each, `/2` ranges of columns.
 */
function words(
  schedule: BackwardSchedule | ReturnType<typeof scheduleForward>,
  perRow: boolean,
  length: number,
): string {
  const { strategy, team, splits, planesPerPartial } = schedule;
  const letter = { serial: '', portable: 'p', subgroups: 's' }[team.reduction];
  const list = [strategy, team.lanes + letter];
  if (splits > 1) list.push(`×${splits}`);
  if (planesPerPartial > 1) list.push(`÷${planesPerPartial}`);
  if (perRow && 'gradientSplits' in schedule) {
    const ranges = schedule.span > 0 ? Math.ceil(length / schedule.span) : 1;
    list.push(`→${schedule.gradientSplits}${ranges > 1 ? `/${ranges}` : ''}`);
  }
  return list.join(' ');
}

const descriptor = (geometry: Geometry, dtype: 'f32' | 'f16'): NormDescriptor => ({
  geometry,
  kind: 'moments',
  dtype,
  paramDtype: dtype,
  eps: 1e-5,
  weight: true,
  bias: false,
  weightOffset: 0,
  castFirst: false,
  activation: 'none',
  negativeSlope: 0,
  residual: 'none',
  schedule: {},
});

const backwardOf = (d: NormDescriptor, facts: DeviceFacts) =>
  backwardProgram(
    { ...d, dweight: true, dbias: true, dsum: false, accumulate: { dweight: false, dbias: false } },
    facts,
  );

describe('choices', () => {
  it('are these', () => {
    const lines = shapes.map(([name, geometry]) => {
      const perRow = geometry.positions === 1 && geometry.inner === 1 && geometry.groups === 1;
      const cells = Object.values(devices).flatMap((facts) => [
        words(scheduleForward(geometry, facts), false, 0),
        words(scheduleBackward(geometry, facts), perRow, geometry.channels),
      ]);
      return [name, ...cells]
        .map((cell, i) => cell.padEnd(i === 0 ? 22 : 19))
        .join('| ')
        .trimEnd();
    });
    expect(`\n${lines.join('\n')}\n`).toMatchInlineSnapshot(`
      "
      rows 4096×1024        | registers 64s      | registers 64s →512 | registers 64p      | registers 64p →512 | thread 1           | thread 1 →16
      rows 16384×256        | registers 16s      | registers 16s →512 | registers 16p      | registers 16p →512 | thread 1           | thread 1 →64
      rows 512×4096         | registers 256s     | registers 256s →64 | registers 256p     | registers 256p →64 | thread 1           | thread 1 →2
      rows 64×65536         | split 256s ×8      | split 256s ×8 →4   | split 256p ×8      | split 256p ×8 →4   | thread 1           | thread 1 →1
      rows 1×1048576        | split 256s ×256    | split 256s ×256 →1 | split 256p ×256    | split 256p ×256 →1 | split 1 ×64        | split 1 ×64 →1/9
      rows 131072×128       | registers 8s       | registers 8s →512  | registers 8p       | registers 8p →512  | thread 1           | thread 1 →501
      rows 65536×64         | registers 8s       | registers 8s →512  | registers 8p       | registers 8p →512  | thread 1           | thread 1 →256
      rows 8192×8192        | registers 512s     | registers 512s →128| registers 256p     | registers 256p →249| thread 1           | thread 1 →32
      rows 1024×12288       | registers 512s     | split 256s →22     | registers 256p     | split 256p →22     | thread 1           | thread 1 →4
      batch 8×64×56×56      | split 256s         | split 256s         | split 256p         | split 256p         | split 1            | split 1
      batch 8×56×56×64      | split 1 ×392       | split 1 ×392       | split 1 ×392       | split 1 ×392       | split 1 ×4         | split 1 ×4
      batch 32×256×14×14    | split 64s ÷4       | split 64s ÷4       | split 64p ÷4       | split 64p ÷4       | split 1            | split 1
      batch 32×14×14×256    | split 1 ×196       | split 1 ×196       | split 1 ×196       | split 1 ×196       | split 1            | split 1
      batch 4×3×256×256     | split 256s ×16     | split 256s ×16     | split 256p ×16     | split 256p ×16     | split 1 ×6         | split 1 ×6
      batch 4×256×256×3     | split 1 ×128       | split 1 ×128       | split 1 ×128       | split 1 ×128       | split 1 ×22        | split 1 ×22
      batch 64×64×112×112   | split 128s         | split 128s         | split 128p         | split 128p         | split 1            | split 1
      batch 64×112×112×64   | split 1 ×4096      | split 1 ×4096      | split 1 ×4096      | split 1 ×4096      | split 1 ×4         | split 1 ×4
      batch 1×2×2048×2048   | split 256s ×256    | split 256s ×256    | split 256p ×256    | split 256p ×256    | split 1 ×32        | split 1 ×32
      batch 1×2048×2048×2   | split 1 ×2048      | split 1 ×2048      | split 1 ×2048      | split 1 ×2048      | split 1 ×64        | split 1 ×64
      batch 65536×512       | split 1 ×1024      | split 1 ×1024      | split 1 ×1024      | split 1 ×1024      | split 1            | split 1
      batch 512×512×2×2     | split 1 ×16        | split 1 ×16        | split 1 ×16        | split 1 ×16        | split 1            | split 1
      batch 64×512×7×7      | split 8s           | split 8s           | split 8p           | split 8p           | split 1            | split 1
      batch 256×512×14×14   | split 8s ÷8        | split 8s ÷8        | split 8p ÷8        | split 8p ÷8        | split 1 ÷3         | split 1 ÷3
      batch 256×2048×7×7    | split 8s ÷16       | split 8s ÷16       | split 8p ÷16       | split 8p ÷16       | split 1 ÷9         | split 1 ÷9
      group 8×320×64×64     | split 64s          | workgroup 512s     | split 64p          | workgroup 256p     | thread 1           | thread 1
      group 8×64×64×320     | split 1 ×128       | split 1 ×128       | split 1 ×128       | split 1 ×128       | split 1            | split 1
      group 2×512×128×128   | split 256s         | split 256s         | split 256p         | split 256p         | thread 1           | thread 1
      group 65536×512       | registers 4s       | registers 4s       | registers 4p       | registers 4p       | thread 1           | thread 1
      instance 4×3×256×256  | split 256s ×16     | split 256s ×16     | split 256p ×16     | split 256p ×16     | split 1 ×6         | split 1 ×6
      instance 32×256×14×14 | registers 16s      | workgroup 64s      | registers 16p      | workgroup 64p      | thread 1           | thread 1
      instance 32×14×14×256 | split 1 ×7         | split 1 ×7         | split 1 ×7         | split 1 ×7         | split 1            | split 1
      instance 1×32×1048576 | split 256s ×16     | split 256s ×16     | split 256p ×16     | split 256p ×16     | thread 1           | thread 1
      instance 512×1024×7×7 | registers 8s       | workgroup 16s      | registers 8p       | workgroup 16p      | thread 1           | thread 1
      "
    `);
  });
});

describe('scratch', () => {
  it.each(shapes)('of %s is at most 1 % of x, or 1 MiB', (_, geometry) => {
    for (const facts of Object.values(devices)) {
      for (const dtype of ['f32', 'f16'] as const) {
        const wide = { ...facts, maxBindingBytes: 2 ** 32 - 4 };
        const cap = workspaceCap(geometry, dtype === 'f16' ? 2 : 4, facts);
        const d = descriptor(geometry, dtype);
        const running = geometry.groups === geometry.channels ? 'update' : undefined;
        expect(scratchBytes(forwardProgram({ ...d, running, momentum: 0.1 }, wide))).toBeLessThanOrEqual(cap);
        expect(scratchBytes(backwardOf(d, wide))).toBeLessThanOrEqual(cap);
        const after = { ...d, residual: 'after', activation: 'relu', bias: true } as const;
        expect(scratchBytes(backwardOf(after, wide))).toBeLessThanOrEqual(cap);
      }
    }
  });

  it('of local response normalization likewise', () => {
    for (const layout of [first, last]) {
      for (const shape of [
        [8, 64, 56, 56],
        [1, 96, 500, 500],
        [2, 3, 1024, 1024],
        [64, 112, 112, 64],
      ]) {
        const geometry = { ...groupNormGeometry(shape, 1, layout), groups: 0 };
        for (const dtype of ['f32', 'f16'] as const) {
          const program = responseBackward(
            { geometry, dtype, size: 5, alpha: 1e-4, beta: 0.75, k: 1 },
            devices.software as DeviceFacts,
          );
          const cap = workspaceCap(geometry, dtype === 'f16' ? 2 : 4, floor);
          expect(scratchBytes(program)).toBeLessThanOrEqual(cap);
          expect(program.steps.length).toBeGreaterThan(0);
        }
      }
    }
  });
});
