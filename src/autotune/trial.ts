// What autotune runs: a norm on random tensors of its own, with any schedule.
import { byteSize } from '../gpu/dtype.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Program } from '../gpu/program.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { BothCalls } from '../ops/norm.ts';
import { normBackward } from '../ops/norm-backward.ts';
import { normForward } from '../ops/norm-forward.ts';
import { type NormOp, type NormOpOptions, prepareOptionsOf } from '../ops/op-options.ts';
import { programOf } from '../ops/prepare-norm.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';

/** Results by name: those of x's shape, and those of the parameters, whose terms may cancel. */
export type TrialResults = Record<string, { values: Float32Array; half: boolean; sums: boolean }>;

/** A pass that can be recorded with any schedule. */
export interface Trial {
  program(schedule: ScheduleOptions): Program;
  record(pass: GPUComputePassEncoder, schedule: ScheduleOptions): void;
  /** Forgets the results: what a schedule does not write shows. */
  clear(): void;
  /** Those of the last run. */
  results(): Promise<TrialResults>;
}

/** Reproducible numbers between `low` and `low` + 2. */
function numbers(count: number, seed: number, low: number): Float32Array {
  const values = new Float32Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = low + state / 2 ** 31;
  }
  return values;
}

/** Makes the tensors of a call. They are the context's, which the caller destroys. */
export function trialOf(
  gpu: Gpu,
  op: NormOp,
  call: BothCalls,
  shape: readonly number[],
  options: NormOpOptions & { pass: 'forward' | 'backward' },
): Trial {
  const { pass, dtype = 'f32' } = options;
  const described = prepareOptionsOf(op, options);
  const { paramDtype = dtype, yDtype = dtype, activation, residual: place, gated } = described;
  const count = shape.reduce((product, size) => product * size, 1);
  const like = (seed: number, low = -1, of = dtype) =>
    gpu.tensor(numbers(count, seed, low), shape, { dtype: of });
  const parameterCount = call.parameterShape.reduce((product, size) => product * size, 1);
  const parameter = (seed: number, low = -1) =>
    gpu.tensor(numbers(parameterCount, seed, low), call.parameterShape, { dtype: paramDtype });
  const x = like(1);
  const other = place === 'none' ? undefined : like(2);
  const addend = place === 'before' ? other : undefined;
  const after = place === 'after' ? other : undefined;
  const weight = described.weight ? parameter(3, 0.5) : undefined;
  const bias = described.bias ? parameter(4) : undefined;
  const epilogue = { activation, ...(gated ? { gate: after } : { residual: after }) };
  const running = call.running && {
    runningMean: gpu.tensor(numbers(parameterCount, 5, -1), call.parameterShape),
    runningVar: gpu.tensor(numbers(parameterCount, 6, 0.5), call.parameterShape),
    numBatchesTracked: call.running.counted ? gpu.zeros([], { dtype: 'u32' }) : undefined,
  };
  const forward = (schedule: ScheduleOptions, target: object, out = {}) =>
    normForward(gpu, call, x, addend, bias, {
      weight,
      schedule,
      yDtype,
      epilogue,
      running,
      out,
      ...target,
    });
  const made = forward({}, {});
  const program = (schedule: ScheduleOptions) => programOf(gpu, call, { ...described, schedule }, pass);
  if (pass === 'forward') {
    const { y, sum, mean, rstd } = made;
    const out = given({ y, sum, mean, rstd });
    return {
      program,
      record: (to, schedule) => void forward(schedule, { pass: to }, out),
      clear: () => clear(gpu, out),
      results: () => read({ y, sum, rstd }, {}),
    };
  }
  const dy = like(7, 0, yDtype);
  const dsum = addend && like(8);
  const backward = (schedule: ScheduleOptions, target: object, out = {}) =>
    normBackward(gpu, call, dy, made.sum ?? x, made.mean, dsum, call.kind === 'moments', {
      weight,
      rstd: made.rstd as Tensor,
      schedule,
      yDtype,
      epilogue: { ...epilogue, bias: bias ?? null },
      wants: { dweight: described.weight === true, dbias: described.bias === true },
      out,
      ...target,
    });
  const { dx, dweight, dbias, dresidual, dgate } = backward({}, {});
  const own = { dx, dweight, dbias, dresidual: dresidual === dy ? null : dresidual, dgate };
  const out = given(own);
  return {
    program,
    record: (to, schedule) => void backward(schedule, { pass: to }, out),
    clear: () => clear(gpu, out),
    results: () => read({ dx, dresidual: own.dresidual, dgate }, { dweight, dbias }),
  };
}

type Named = Record<string, Tensor | null | undefined>;

const given = (all: Named): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(all).filter((entry): entry is [string, Tensor] => !!entry[1]));

function clear({ device }: Gpu, out: Record<string, Tensor>): void {
  const encoder = device.createCommandEncoder({ label: 'autotune' });
  for (const { buffer } of Object.values(out)) encoder.clearBuffer(buffer);
  device.queue.submit([encoder.finish()]);
}

async function read(tensors: Named, sums: Named): Promise<TrialResults> {
  const wanted = Object.entries(given({ ...tensors, ...sums }));
  const values = await Promise.all(wanted.map(([, tensor]) => tensor.data()));
  return Object.fromEntries(
    wanted.map(([name, { dtype }], i) => [
      name,
      { values: values[i] as Float32Array, half: byteSize(dtype) === 2, sums: name in sums },
    ]),
  );
}

/** What is wrong with results beside those of the default, if anything: more than a few roundings between them. */
export function compare(results: TrialResults, expected: TrialResults): string | undefined {
  for (const [name, { values, half, sums }] of Object.entries(results)) {
    const wanted = expected[name]?.values ?? new Float32Array();
    let [off, size] = [0, 0];
    for (let i = 0; i < values.length; i++) {
      const value = wanted[i] as number;
      off += ((values[i] as number) - value) ** 2;
      size += value ** 2;
    }
    const error = Math.sqrt(off / Math.max(size, Number.MIN_VALUE));
    // In f16 a last bit here and there; sums over rows may cancel to a hundredth of their terms.
    const bound = (sums ? 1e-4 : 1e-5) + (half ? 1e-3 : 0);
    if (!(error <= bound)) return `${name} differs by ${error.toExponential(1)}`;
  }
  return undefined;
}
