/** Norms as plain data. That what is described is what a function runs, test/gpu/kernels.ts shows. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, describe as group, it } from 'vitest';
import { manifestOf } from '../../bin/export.mjs';
import { kernelSamples } from '../../scripts/lib/kernel-samples.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { modelOfClass } from '../../src/gpu/device-model.ts';
import { NormError } from '../../src/gpu/errors.ts';
import {
  type DescribedOp,
  type DescribeFacts,
  type DescribeOptions,
  type Description,
  describe,
} from '../../src/kernels.ts';
import { describedOps, describeNames } from '../../src/ops/describe.ts';
import { forwardCall } from '../../src/ops/op-options.ts';
import { scheduleKept } from '../../src/plan/kept.ts';
import { scheduleBackward, scheduleForward } from '../../src/plan/schedule.ts';
import { familyOf, type ScheduleOptions } from '../../src/plan/strategy.ts';
import { type DescribedCase, describedCases } from '../support/descriptions.ts';
import { facts as whole } from '../support/variants.ts';

const nameOf = ({ op, options: { pass, dtype, paramDtype, ...rest } }: DescribedCase) =>
  `${op} ${pass} ${dtype}${paramDtype ? `/${paramDtype}` : ''} ${JSON.stringify(rest)}`;

/** What is wrong with a description by its own words: its resources, its WGSL, its numbers. */
function faultsOf(plan: Description, facts: DescribeFacts = {}): string[] {
  const faults: string[] = [];
  const check = (right: boolean, fault: string) => {
    if (!right) faults.push(fault);
  };
  const { maxBindingBytes = 2 ** 27, maxWorkgroupsPerDimension = 65_535 } = facts;
  const { offsetAlignment = 256, maxInvocations = 256 } = facts;
  const sizes = new Map(
    [...plan.inputs, ...plan.outputs, ...plan.scratch].map(({ name, bytes }) => [name, bytes]),
  );
  check(
    sizes.size === plan.inputs.length + plan.outputs.length + plan.scratch.length,
    'two resources have one name',
  );
  const written = new Set<string>();
  for (const { wgsl, bindings, uniform, workgroups, workgroupSize, label, entryPoint } of plan.dispatches) {
    const declared = [
      ...wgsl.matchAll(/^@group\(0\) @binding\((\d+)\) var<storage, ?(\w+)> (\w+): array<(.*)>;$/gm),
    ].map(([, binding, access, name]) => ({ binding: Number(binding), access, name }));
    const told = bindings.map(({ binding, access, name }) => ({ binding, access, name }));
    check(JSON.stringify(told) === JSON.stringify(declared), `${label} binds ${JSON.stringify(told)}`);
    check(entryPoint === 'main' && /\bfn main\(/.test(wgsl), `${label} has no entry point`);
    check(/var<uniform>/.test(wgsl) === (uniform !== null), `${label} and its uniform buffer`);
    for (const { resource, elementType, offset, bytes, access } of bindings) {
      const size = sizes.get(resource) ?? -1;
      check(
        offset % offsetAlignment === 0 && bytes % 4 === 0,
        `${label}: ${resource} at ${offset}, ${bytes}`,
      );
      check(bytes > 0 && offset + bytes <= size, `${label}: ${resource} ends behind its ${size} bytes`);
      check(bytes <= maxBindingBytes, `${label}: ${resource} takes ${bytes} bytes`);
      check(
        /^(vec[24]<(f32|f16|u32)>|atomic<u32>|f32|f16|u32)$/.test(elementType),
        `${label}: ${elementType}`,
      );
      if (access === 'read_write') written.add(resource);
    }
    if (uniform) {
      const view = new DataView(Uint32Array.from(uniform.data).buffer);
      const struct = /^struct Params \{([^}]*)\}/m.exec(wgsl)?.[1] ?? '';
      const fields = [...struct.matchAll(/^\s*(\w+): (\w+),$/gm)].map(([, name, type]) => ({ name, type }));
      const named = uniform.fields.map(({ name, type }) => ({ name, type }));
      check(
        JSON.stringify(named) === JSON.stringify(fields),
        `${label} has the numbers ${JSON.stringify(named)}`,
      );
      check(
        uniform.bytes === 4 * fields.length && uniform.bytes === 4 * uniform.data.length,
        `${label}: bytes`,
      );
      for (const { name, type, offset, value } of uniform.fields) {
        const found = type === 'f32' ? view.getFloat32(offset, true) : view.getUint32(offset, true);
        check(found === value, `${label}: ${name} is ${found}, and ${value} is told`);
      }
    }
    check(Math.max(...workgroups) <= maxWorkgroupsPerDimension, `${label} has ${workgroups} workgroups`);
    check(
      workgroups.every((count) => Number.isInteger(count) && count >= 1),
      `${label}: ${workgroups}`,
    );
    const [x, y, z] = workgroupSize;
    check(x * y * z <= maxInvocations && x >= 1, `${label} has ${workgroupSize} invocations`);
    const { WORKGROUP = '1' } = /^const WORKGROUP: u32 = (?<WORKGROUP>\d+)u;$/m.exec(wgsl)?.groups ?? {};
    check(x === Number(WORKGROUP), `${label}: ${x} invocations are told, WGSL has ${WORKGROUP}`);
    const f16 = /^enable f16;$/m.test(wgsl);
    check(!f16 || plan.features.includes('shader-f16'), `${label} enables f16`);
    const subgroups = /\bsubgroup[A-Z]\w*\(/.test(wgsl);
    check(!subgroups || plan.features.includes('subgroups'), `${label} calls subgroups`);
  }
  for (const { name } of plan.outputs) check(written.has(name), `${name} is not written`);
  return faults;
}

group('a description', () => {
  it.each(describedCases.map((one) => [nameOf(one), one] as const))('%s', (_, { op, options }) => {
    const plan = describe(op, options);
    expect(plan).toMatchObject({ abi: 1, op, pass: options.pass });
    expect(plan.dispatches.length).toBeGreaterThan(0);
    expect(faultsOf(plan)).toEqual([]);
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
    expect(plan.features.includes('shader-f16')).toBe([options.dtype, options.yDtype].includes('f16'));
    expect(describe(op, options), 'the same again').toEqual(plan);
  });

  it('has the inputs and outputs of the function', () => {
    const namesOf = (op: DescribedOp, options: DescribeOptions) => {
      const { inputs, outputs } = describe(op, options);
      const mark = ({ name, inPlace }: Description['outputs'][number]) => (inPlace ? `${name}!` : name);
      return `${inputs
        .map(({ name }) => name)
        .sort()
        .join(' ')} → ${outputs.map(mark).sort().join(' ')}`;
    };
    const shape = [6, 40];
    const back = { shape, pass: 'backward' } as const;
    expect(namesOf('layerNorm', { shape })).toBe('bias weight x → mean rstd y');
    expect(namesOf('layerNorm', { shape, weight: false, bias: null, statistics: false })).toBe('x → y');
    expect(namesOf('addRmsNorm', { shape })).toBe('residual weight x → rstd sum y');
    expect(namesOf('layerNorm', back)).toBe('dy mean rstd weight x → dbias dweight dx');
    expect(namesOf('layerNorm', { ...back, accumulate: { dweight: true, dbias: false } })).toBe(
      'dy mean rstd weight x → dbias dweight! dx',
    );
    expect(namesOf('addLayerNorm', back)).toBe('dsum dy mean rstd weight x → dbias dweight dx');
    expect(namesOf('layerNorm', { ...back, wants: { dweight: false, dbias: false } })).toBe(
      'dy mean rstd weight x → dx',
    );
    expect(namesOf('layerNorm', { ...back, residual: true, activation: 'relu' })).toBe(
      'bias dy mean residual rstd weight x → dbias dresidual dweight dx',
    );
    const image = { shape: [2, 3, 4, 5] };
    const tracked = { runningMean: true, runningVar: true, numBatchesTracked: true };
    expect(namesOf('batchNorm', { ...image, ...tracked })).toBe(
      'bias running_mean running_var weight x → mean rstd y',
    );
    expect(namesOf('batchNorm', { ...image, ...tracked, training: true, variance: true })).toBe(
      'bias weight x → mean num_batches_tracked! rstd running_mean! running_var! variance y',
    );
    expect(namesOf('localResponseNorm', { ...image, size: 3, pass: 'backward' })).toBe('dy x → dx');
  });

  it('has the shapes and bytes of its tensors, padded to four', () => {
    const { inputs, outputs } = describe('rmsNorm', { shape: [3, 5], dtype: 'f16', paramDtype: 'f32' });
    expect(inputs.find(({ name }) => name === 'x')).toEqual({
      name: 'x',
      dtype: 'f16',
      shape: [3, 5],
      bytes: 32,
    });
    expect(inputs.find(({ name }) => name === 'weight')).toMatchObject({
      dtype: 'f32',
      shape: [5],
      bytes: 20,
    });
    expect(outputs.map(({ name, shape, bytes }) => [name, shape, bytes])).toEqual([
      ['y', [3, 5], 32],
      ['rstd', [3], 12],
    ]);
  });

  it('binds as read_write what lies in a buffer of which another part is written', () => {
    for (const pass of ['forward', 'backward'] as const) {
      const options = { shape: [300, 256], pass, schedule: { strategy: 'split' } } as const;
      const accessOf = (sharedBuffer: string[]) => {
        const bindings = describe('layerNorm', { ...options, sharedBuffer }).dispatches.flatMap(
          (one) => one.bindings,
        );
        const read = bindings.filter(({ access }) => access === 'read').map(({ resource }) => resource);
        return new Set(read);
      };
      const all = pass === 'forward' ? ['x', 'weight', 'bias', 'y', 'mean'] : ['x', 'dy', 'weight', 'dx'];
      const apart = accessOf([]);
      for (const name of ['x', 'weight']) expect(apart.has(name), name).toBe(true);
      const together = accessOf(all);
      for (const name of all) expect(together.has(name), name).toBe(false);
      expect([...together].sort()).toEqual([...apart].filter((name) => !all.includes(name)).sort());
    }
  });

  it('of nothing has no dispatches but what nothing asks for', () => {
    expect(describe('layerNorm', { shape: [0, 8] }).dispatches).toEqual([]);
    const backward = describe('layerNorm', { shape: [0, 8], pass: 'backward' });
    expect(backward.dispatches.map(({ label }) => label)).toEqual([
      expect.stringMatching(/^merge\/gradients/),
    ]);
  });

  it('in parts covers x with aligned ranges that meet', () => {
    const facts = { maxBindingBytes: 65_536 };
    // 300 rows of 65 f16: 130 bytes, which no alignment divides.
    const plan = describe('layerNorm', { shape: [3000, 65], dtype: 'f16' }, facts);
    expect(faultsOf(plan, facts)).toEqual([]);
    const ranges = plan.dispatches.map(({ bindings, uniform }) => {
      const x = bindings.find(({ resource }) => resource === 'x');
      const field = (name: string) => uniform?.fields.find((one) => one.name === name)?.value as number;
      return { offset: x?.offset as number, first: field('first_element'), rows: field('rows') };
    });
    expect(ranges.length).toBeGreaterThan(5);
    let row = 0;
    for (const { offset, first, rows } of ranges) {
      expect(offset + 2 * first).toBe(130 * row);
      row += rows;
    }
    expect(row).toBe(3000);
    const offsets = ranges.map(({ offset }) => offset);
    expect(plan.limits).toMatchObject({ maxBufferSize: 390_000, minStorageBufferOffsetAlignment: 256 });
    expect(Math.max(...offsets)).toBeGreaterThan(256);
  });
});

group('facts', () => {
  it('are what every WebGPU device has where they are missing', () => {
    for (const { op, options } of describedCases) {
      const { features, subgroup, limits } = describe(op, options);
      expect(features).not.toContain('subgroups');
      expect(subgroup).toBe(0);
      expect(limits.maxStorageBuffersPerShaderStage).toBeLessThanOrEqual(8);
      expect(limits.maxComputeInvocationsPerWorkgroup).toBeLessThanOrEqual(256);
      expect(limits.maxComputeWorkgroupStorageSize).toBeLessThanOrEqual(16_384);
    }
  });

  it('have the workgroup memory of rows that share a workgroup within what every device has', () => {
    const bytesOf = (shape: number[], schedule: ScheduleOptions, facts: DescribeFacts = {}) =>
      describe(
        'layerNorm',
        { shape, pass: 'backward', schedule: { strategy: 'registers', ...schedule } },
        facts,
      ).limits.maxComputeWorkgroupStorageSize;
    // Of the reduction 8 bytes a thread; of the row-groups two quads for every second thread and item.
    expect(bytesOf([64, 256], { lanes: 16, workgroup: 128 })).toBe(8 * 128 + 16 * 64 * 4);
    expect(bytesOf([64, 1024], { lanes: 64 }, { subgroup: 32 })).toBe(8 * 4 + 16 * 64 * 4);
    expect(bytesOf([64, 256], { lanes: 16 }, { subgroup: 32 })).toBe(16 * 64 * 4);
    expect(bytesOf([64, 1024], { lanes: 256, workgroup: 256 })).toBe(8 * 256);
    const facts = { maxInvocations: 1024 };
    for (const cols of [4, 64, 100, 256, 1024, 2048]) {
      for (let workgroup = 1; workgroup <= 1024; workgroup *= 2) {
        for (let lanes = 1; lanes <= workgroup; lanes *= 2) {
          if (cols > 32 * lanes) continue;
          expect(bytesOf([4096, cols], { lanes, workgroup }, facts)).toBeLessThanOrEqual(16_384);
        }
      }
    }
  });

  it('decide what is chosen', () => {
    const shape = [64, 4096];
    const shuffled = describe('layerNorm', { shape }, { subgroup: 32 });
    expect(shuffled.features).toEqual(['subgroups']);
    expect(shuffled.subgroup).toBe(32);
    expect(shuffled.dispatches[0]?.wgsl).toMatch(/^enable subgroups;$/m);
    const narrow = { maxInvocations: 128, maxWorkgroupsPerDimension: 16, maxBindingBytes: 65_536 };
    for (const { op, options } of describedCases) {
      expect(faultsOf(describe(op, options, narrow), narrow), nameOf({ op, options })).toEqual([]);
    }
    const barrierless = describe('layerNorm', { shape: [4096, 64] }, { software: true });
    expect(barrierless.dispatches[0]?.label).toContain('forward_thread');
  });

  it('are taken as gpu.facts has them, and as JSON has those', () => {
    const plan = describe('rmsNorm', { shape: [64, 4096] }, whole);
    expect(describe('rmsNorm', { shape: [64, 4096] }, JSON.parse(JSON.stringify(whole)))).toEqual(plan);
    expect(JSON.parse(JSON.stringify(whole)).iterations).toBe(null);
    expect(describe('rmsNorm', { shape: [64, 4096] }, { subgroup: undefined })).toEqual(
      describe('rmsNorm', { shape: [64, 4096] }),
    );
  });
});

group('mistakes', () => {
  const image = { shape: [2, 4, 5, 6] };
  const of = (op: unknown, options: unknown, facts?: unknown) => () =>
    describe(op as DescribedOp, options as DescribeOptions, facts as DescribeFacts);
  const mistakes: [name: string, call: () => unknown, code: string, said: RegExp][] = [
    ['an op', of('layernorm', image), 'value', /no op 'layernorm'.*Use one of layerNorm, /],
    ['no op', of(undefined, image), 'value', /no op 'undefined'/],
    ['a property of objects', of('toString', image), 'value', /no op 'toString'/],
    ['no options', of('layerNorm', undefined), 'value', /takes its options as an object/],
    ['no shape', of('layerNorm', {}), 'shape', /shape is undefined/],
    ['a size', of('layerNorm', { shape: [2.5, 4] }), 'shape', /2\.5/],
    ['a huge shape', of('layerNorm', { shape: [2 ** 40, 2 ** 40] }), 'limit', /larger than any buffer/],
    ['a pass', of('layerNorm', { ...image, pass: 'back' }), 'value', /no pass 'back'.*'backward'/],
    [
      'an option of another op',
      of('batchNorm', { ...image, training: true, numGroups: 2 }),
      'value',
      /no option 'numGroups'/,
    ],
    [
      'one of another pass',
      of('batchNorm', { ...image, pass: 'backward', momentum: 1 }),
      'value',
      /'momentum'/,
    ],
    ['a misspelt one', of('layerNorm', { ...image, epsilon: 1 }), 'value', /Did you mean 'eps'/],
    [
      'a tensor',
      of('layerNorm', { ...image, weight: [1, 2] }),
      'value',
      /weight is \[1,2\], which is no boolean/,
    ],
    ['a bias of RMSNorm', of('rmsNorm', { ...image, bias: true }), 'value', /RMSNorm has no bias/],
    [
      'an activation of a residual form',
      of('addRmsNorm', { ...image, activation: 'relu' }),
      'value',
      /no 'activation'/,
    ],
    [
      'other parameters',
      of('layerNorm', { ...image, parameterShape: [7] }),
      'shape',
      /parameterShape.*\[6\]/,
    ],
    [
      'other parameters of a backward pass',
      of('instanceNorm', { ...image, parameterShape: [3, 4], pass: 'backward' }),
      'shape',
      /parameterShape.*\[4\]/,
    ],
    [
      'parameters of samples in BatchNorm',
      of('batchNorm', { ...image, training: true, parameterShape: [2, 4] }),
      'value',
      /no option 'parameterShape'/,
    ],
    ['an activation', of('layerNorm', { ...image, activation: 'tanh' }), 'value', /no activation 'tanh'/],
    ['a dtype', of('layerNorm', { ...image, dtype: 'f64' }), 'dtype', /x is f64/],
    ['parameters of f16', of('layerNorm', { ...image, paramDtype: 'f16' }), 'dtype', /f16 while x is f32/],
    [
      'parameters of LRN',
      of('localResponseNorm', { ...image, size: 3, paramDtype: 'f32' }),
      'value',
      /paramDtype/,
    ],
    [
      'strides of no tensor',
      of('layerNorm', { ...image, strides: { z: [1] } }),
      'value',
      /no tensor 'z'.*Use those of x, /,
    ],
    ['strides that are a list', of('layerNorm', { ...image, strides: [1] }), 'value', /by tensor/],
    ['too few strides', of('layerNorm', { ...image, strides: { x: [1] } }), 'shape', /strides are \[1\]/],
    [
      'strides of a weight',
      of('layerNorm', { ...image, strides: { weight: [2] } }),
      'unsupported',
      /weight has strides/,
    ],
    [
      'strides of an output that overlap',
      of('layerNorm', { ...image, strides: { y: [0, 30, 6, 1] } }),
      'aliasing',
      /y has strides/,
    ],
    ['strides over channels', of('batchNorm', { ...image, strides: {} }), 'value', /no option 'strides'/],
    ['a shared buffer of no tensor', of('rmsNorm', { ...image, sharedBuffer: ['dx'] }), 'value', /'dx'/],
    [
      'a shared buffer that is a text',
      of('rmsNorm', { ...image, sharedBuffer: 'x' }),
      'value',
      /list of names/,
    ],
    ['no window', of('localResponseNorm', image), 'value', /size is undefined/],
    ['no groups', of('groupNorm', image), 'value', /numGroups is undefined/],
    ['groups', of('groupNorm', { ...image, numGroups: 3 }), 'shape', /not divisible by 3/],
    [
      'normalizedShape',
      of('layerNorm', { ...image, normalizedShape: [7] }),
      'shape',
      /Given normalizedShape \[7\]/,
    ],
    ['eps', of('layerNorm', { ...image, eps: -1 }), 'value', /eps is -1/],
    ['no running statistics', of('batchNorm', image), 'value', /Evaluation needs runningMean/],
    [
      'half of them',
      of('batchNorm', { ...image, training: true, runningVar: true }),
      'value',
      /runningMean is missing/,
    ],
    [
      'wants',
      of('layerNorm', { ...image, pass: 'backward', wants: { weight: true } }),
      'value',
      /wants.*'weight'/,
    ],
    [
      'a schedule',
      of('layerNorm', { ...image, schedule: { strategy: 'fast' } }),
      'value',
      /no strategy 'fast'/,
    ],
    [
      'no subgroups',
      of('layerNorm', { ...image, schedule: { reduction: 'subgroups' } }),
      'value',
      /no subgroups/,
    ],
    ['a fact', of('layerNorm', image, { subgroups: 4 }), 'value', /facts has no option 'subgroups'/],
    ['facts', of('layerNorm', image, null), 'value', /facts takes its options as an object/],
    ['invocations', of('layerNorm', image, { maxInvocations: 64 }), 'value', /maxInvocations is 64/],
    ['a subgroup', of('layerNorm', image, { subgroup: 12 }), 'value', /subgroup is 12/],
    ['an alignment', of('layerNorm', image, { offsetAlignment: 100 }), 'value', /offsetAlignment is 100/],
    ['a row too long', of('layerNorm', { shape: [2, 65_536] }, { maxBindingBytes: 65_536 }), 'limit', /./],
  ];
  it.each(mistakes)('%s is said, and what to do', (_, call, code, said) => {
    let error: unknown;
    try {
      call();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(NormError);
    expect(error).toMatchObject({
      code,
      message: expect.stringMatching(said),
      fix: expect.stringMatching(/\w/),
    });
  });

  it('of any kind are NormErrors', () => {
    const junk = [
      null,
      true,
      -1,
      0,
      1.5,
      Number.NaN,
      '',
      'f16',
      [],
      [3],
      [-1],
      {},
      { strategy: 1 },
      () => 1,
      1n,
      Symbol('s'),
    ];
    let refused = 0;
    for (const { op, options } of describedCases) {
      const pass = options.pass ?? 'forward';
      for (const name of [...Object.keys(describeNames(op, pass)), 'nonsense']) {
        for (const value of junk) {
          try {
            describe(op, { ...options, [name]: value });
          } catch (error) {
            refused += 1;
            const said = `${nameOf({ op, options })}, ${name} ${typeof value}: ${error}`;
            expect(error instanceof NormError, said).toBe(true);
          }
        }
      }
    }
    for (const name of Object.keys(whole)) {
      for (const value of junk) {
        try {
          describe('layerNorm', { shape: [6, 40] }, { [name]: value });
        } catch (error) {
          expect(error instanceof NormError, `fact ${name} ${typeof value}: ${error}`).toBe(true);
        }
      }
    }
    expect(refused).toBeGreaterThan(10_000);
  });

  it('are none among the options that are documented', () => {
    // The compiler holds this to DescribeOptions; the names of each op come from the tables of its functions.
    const documented: Record<keyof DescribeOptions, true> = {
      shape: true,
      dtype: true,
      paramDtype: true,
      yDtype: true,
      strides: true,
      sharedBuffer: true,
      pass: true,
      normalizedShape: true,
      axes: true,
      numGroups: true,
      parameterShape: true,
      zeroCenteredGamma: true,
      layout: true,
      cast: true,
      eps: true,
      epsMode: true,
      weight: true,
      bias: true,
      residual: true,
      gate: true,
      activation: true,
      negativeSlope: true,
      training: true,
      runningMean: true,
      runningVar: true,
      numBatchesTracked: true,
      momentum: true,
      runningVariance: true,
      variance: true,
      statistics: true,
      dsum: true,
      wants: true,
      accumulate: true,
      size: true,
      alpha: true,
      beta: true,
      k: true,
      schedule: true,
    };
    const taken = describedOps.flatMap((op) =>
      (['forward', 'backward'] as const).flatMap((pass) => Object.keys(describeNames(op, pass))),
    );
    expect([...new Set(taken)].sort()).toEqual(Object.keys(documented).sort());
  });
});

group('a manifest', () => {
  it('names one file for each shader that differs', () => {
    const plan = describe('layerNorm', { shape: [300, 256], pass: 'backward' }, { maxBindingBytes: 65_536 });
    const { manifest, files } = manifestOf(plan);
    expect(files.size).toBe(new Set(plan.dispatches.map(({ wgsl }) => wgsl)).size);
    expect(files.size).toBeGreaterThan(1);
    expect(files.size).toBeLessThan(plan.dispatches.length);
    const whole = manifest.dispatches.map((one) => ({ ...one, wgsl: files.get(one.wgsl) }));
    expect({ ...manifest, dispatches: whole }).toEqual(plan);
    for (const name of files.keys()) expect(name).toMatch(/^[\w-]+\.wgsl$/);
  });
});

group('what is committed (npm run kernels)', () => {
  const samples = kernelSamples({
    describe,
    forwardCall,
    familyOf,
    scheduleKept,
    scheduleForward,
    scheduleBackward,
    modelOfClass,
  });

  it('has shaders to read, and descriptions that hold the format', () => {
    const paths = [...samples.keys()];
    expect(paths.filter((path) => path.startsWith('docs/shaders/'))).toHaveLength(9);
    expect(paths.filter((path) => path.startsWith('test/golden/'))).toHaveLength(3);
  });

  it.each([...samples])('%s is as it would be made now', (path, text) => {
    expect(existsSync(join(root, path)), path).toBe(true);
    expect(readFileSync(join(root, path), 'utf8')).toBe(text);
  });
});
