// What the lab compiles: the kernels of the default plan for every row of the bench and for random geometries, each text once.
import { benchRows, isResidual, isRms, type Row, rowName } from '../../bench/rows.ts';
import type { DeviceFacts } from '../../src/index.ts';
import {
  type DescribedDispatch,
  type DescribedOp,
  type DescribeOptions,
  describe,
  NormError,
} from '../../src/kernels.ts';
import { type CorpusKernel, kernelOf } from './kernel.ts';
import { randomCases } from './random-cases.ts';

export interface Case {
  name: string;
  op: DescribedOp;
  options: DescribeOptions;
}

/** All kernels, without two of the same text. */
export function corpus(facts: DeviceFacts, count: number): CorpusKernel[] {
  const rows = benchRows(facts.f16).filter(({ pass }) => pass !== 'forward+backward');
  const found = new Map<string, CorpusKernel>();
  const add = (one: Case, benched: number) => {
    for (const { label, wgsl } of dispatchesOf(one, facts)) {
      const kernel = found.get(wgsl) ?? kernelOf(label.split(',')[0] ?? '', wgsl, one.name);
      kernel.rows += benched;
      kernel.uses++;
      found.set(wgsl, kernel);
    }
  };
  for (const row of rows) add(rowCase(row), 1);
  for (const one of randomCases(facts.f16, count)) add(one, 0);
  return [...found.values()];
}

/** None where a tensor is larger than the device has room for. */
function dispatchesOf({ op, options }: Case, facts: DeviceFacts): DescribedDispatch[] {
  try {
    return describe(op, options, facts).dispatches;
  } catch (error) {
    if (error instanceof NormError && error.code === 'limit') return [];
    throw error;
  }
}

/** A row of the bench as `describe` takes it, with the tensors that bench/recorder.ts gives the op. */
export function rowCase(row: Row): Case {
  const { op, shape, dtype, layout, groups, training = false, relu } = row;
  const pass = row.pass as 'forward' | 'backward';
  const common: DescribeOptions = { shape: [...shape], dtype, paramDtype: 'f32', pass };
  const options: DescribeOptions =
    op === 'batchNorm'
      ? {
          ...common,
          layout,
          training,
          activation: relu ? 'relu' : 'none',
          ...(pass === 'forward' && running(training)),
        }
      : op === 'groupNorm' || op === 'instanceNorm'
        ? { ...common, layout, ...(groups !== undefined && { numGroups: groups }) }
        : {
            ...common,
            ...(row.axes ? { axes: row.axes } : { normalizedShape: shape.slice(1) }),
            ...(pass === 'backward' && { dsum: isResidual(op) }),
          };
  return { name: rowName(row), op, options: isRms(op) ? options : { ...options, bias: true } };
}

const running = (training: boolean) => ({
  runningMean: true,
  runningVar: true,
  ...(training && { numBatchesTracked: true }),
});
