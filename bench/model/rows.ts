/** Rows of the bench, predicted: the dispatches that `describe` tells, each with the time that the model gives it. */
import { type Case, rowCase } from '../../scripts/lab/corpus.ts';
import { kernelOf } from '../../scripts/lab/kernel.ts';
import { type DescribedDispatch, type DescribeFacts, describe } from '../../src/kernels.ts';
import { idealBytes, type Row, rowName } from '../rows.ts';
import { codeOf, type LabKernels } from './code.ts';
import type { ModelDevice } from './devices.ts';
import { type Time, timeOf, type Work } from './time.ts';

export interface DispatchPrediction extends Time {
  family: string;
  bytes: number;
  threads: number;
  iterations: number;
  /** Whether it reads x or a tensor like it. The others merge a few partial results. */
  overX: boolean;
  /** Whether the lab has compiled this very text. */
  exact: boolean;
}

export interface RowPrediction {
  name: string;
  row: Row;
  dispatches: DispatchPrediction[];
  /** Bytes that the passes share. */
  scratch: number;
  ns: number;
  /** Its speed beside a copy of as many ideal bytes, of which the model says that memory alone limits it. */
  copyFraction: number;
  /** What costs most beyond what a copy takes; 'bandwidth' where that is less than a tenth. */
  limit: string;
}

const likeX = ['x', 'residual', 'y', 'sum', 'dy', 'dsum', 'dx', 'dresidual'];

/** Kernels that walk over their elements twice, the second time in a cache. */
const twice = ['rows/forward_stream', 'rows/backward_channels'];

const scalarBytes = (elementType: string): number => (elementType.includes('f16') ? 2 : 4);

/** Quads that a thread takes at a time, and waits for together. */
function quadsAtOnce(wgsl: string): number {
  const constant = (name: string) =>
    Number(new RegExp(`^const ${name}: u32 = (\\d+)u;`, 'm').exec(wgsl)?.[1] ?? 1);
  return constant('ITEMS') * constant('AT_ONCE');
}

/** The part of x that a dispatch goes over: a range of its columns, where there is no scratch for all. */
function partOfX({ uniform }: DescribedDispatch): number {
  const value = (name: string) => uniform?.fields.find((field) => field.name === name)?.value;
  const [span, cols] = [value('span'), value('cols')];
  return span && cols ? span / cols : 1;
}

/** @param loaded - bytes that a thread of a merge loads at a time. */
function workOf(dispatch: DescribedDispatch, family: string, loaded: number): Work & { overX: boolean } {
  const { bindings, workgroups, workgroupSize, wgsl } = dispatch;
  const [x, y, z] = workgroups;
  const count = x * y * z;
  const threads = count * workgroupSize[0];
  const part = partOfX(dispatch);
  const whole = bindings.filter(({ resource }) => likeX.includes(resource));
  const bytes = bindings.reduce((sum, one) => sum + one.bytes * (likeX.includes(one.resource) ? part : 1), 0);
  const [tensor] = whole;
  const overX = tensor !== undefined;
  const elements = tensor ? (tensor.bytes * part) / scalarBytes(tensor.elementType) : 0;
  const walks = twice.includes(family) ? 2 : 1;
  const read = bindings.reduce((sum, { access, bytes }) => sum + (access === 'read' ? bytes : 0), 0);
  const each = overX ? (walks * elements) / (4 * quadsAtOnce(wgsl)) : read / Math.max(4, loaded);
  const iterations = Math.max(1, Math.ceil(each / threads));
  return { workgroups: count, workgroup: workgroupSize[0], bytes, iterations, overX };
}

/** @throws Error where the lab has no kernel of a family. */
function predictDispatch(
  dispatch: DescribedDispatch,
  device: ModelDevice,
  own: LabKernels,
  amd: LabKernels,
): DispatchPrediction {
  const family = dispatch.label.split(',')[0] ?? '';
  const kernel = kernelOf(family, dispatch.wgsl, '');
  const found = codeOf(kernel, own, amd);
  if (!found)
    throw new Error(`The lab has no kernel ${family} for ${own.target}: npm run lab -- ${own.target}`);
  const work = workOf(dispatch, family, found.loaded);
  return {
    ...timeOf(work, found.code, device),
    ...{ family, bytes: work.bytes, threads: work.workgroups * work.workgroup, iterations: work.iterations },
    ...{ overX: work.overX, exact: found.exact },
  };
}

/** A device with the lab's results for it, and those of AMD's compiler, which alone shows how often a thread waits for memory. */
export interface Modelled {
  device: ModelDevice;
  own: LabKernels;
  amd: LabKernels;
}

/**
 * What a row of the bench takes at least, by the model. A prediction.
 *
 * @throws NormError `limit` where the device does not hold a tensor.
 */
export function predictRow(row: Row, { device, own, amd }: Modelled): RowPrediction {
  // Vulkan's drivers for NVIDIA have no f16 in Dawn; those of Direct3D and Metal do, with the same schedules.
  const facts = { ...own.facts, ...(row.dtype === 'f16' && { f16: true }) } as DescribeFacts;
  const passes = row.pass === 'forward+backward' ? (['forward', 'backward'] as const) : [row.pass];
  const described = passes
    .map((pass): Case => rowCase({ ...row, pass }))
    .map(({ op, options }) => describe(op, options, facts));
  const dispatches = described.flatMap((one) =>
    one.dispatches.map((dispatch) => predictDispatch(dispatch, device, own, amd)),
  );
  const scratch = Math.max(...described.map((one) => one.scratch.reduce((sum, { bytes }) => sum + bytes, 0)));
  const ns = dispatches.reduce((sum, one) => sum + one.ns + device.dispatch, 0);
  const copyNs = idealBytes(row) / device.bandwidth + device.dispatch;
  const copyFraction = copyNs / ns;
  return {
    name: rowName(row),
    row,
    dispatches,
    scratch,
    ns,
    copyFraction,
    limit: limitOf(row, dispatches, device, copyFraction),
  };
}

/** By what a row is slower than a copy. */
function limitOf(
  row: Row,
  dispatches: DispatchPrediction[],
  device: ModelDevice,
  copyFraction: number,
): string {
  if (copyFraction >= 0.9) return 'bandwidth';
  const moved = dispatches.reduce((sum, { bytes }) => sum + bytes, 0);
  const costs = new Map<string, number>([
    ['dispatches', (dispatches.length - 1) * device.dispatch],
    ['traffic', (moved - idealBytes(row)) / device.bandwidth],
  ]);
  for (const { ns, bytes, limit, overX } of dispatches) {
    const name = overX ? limit : 'merges';
    costs.set(name, (costs.get(name) ?? 0) + ns - bytes / device.bandwidth);
  }
  const [most] = [...costs].sort(([, a], [, b]) => b - a);
  return most?.[0] ?? 'bandwidth';
}
