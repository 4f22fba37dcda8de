// Outputs that are written over inputs.
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { BackwardDescriptor, NormDescriptor } from '../kernels/descriptor.ts';
import { setSize } from '../plan/geometry.ts';
import { mostColumns, type ScheduleOptions } from '../plan/strategy.ts';
import type { BackwardOutputs, ForwardOutputs, NormCall } from './norm.ts';

type Aliases = NonNullable<NormDescriptor['aliases']>;

/** Whether two tensors are the same elements of the same buffer. */
const isSame = (a: Tensor, b: Tensor | undefined): boolean =>
  a === b ||
  (a.buffer === b?.buffer &&
    a.offset === b.offset &&
    a.size === b.size &&
    a.dtype === b.dtype &&
    String(a.strides) === String(b.strides));

/** Which inputs are the very tensors that y and sum are written to; undefined where none is. */
export function aliasesOf(
  inputs: Readonly<Record<'x' | 'residual', Tensor | undefined>>,
  { y, sum }: ForwardOutputs,
): Aliases | undefined {
  const aliases: Aliases = {};
  for (const name of ['x', 'residual'] as const) {
    const input = inputs[name];
    if (input && isSame(input, y)) aliases[name] = 'y';
    else if (input && isSame(input, sum)) aliases[name] = 'sum';
  }
  return aliases.x || aliases.residual ? aliases : undefined;
}

/**
 * Which inputs of a backward pass are the very tensor that dx is written to; undefined where none is. The last dispatch that reads an
 * element of them is the one that writes it, and the same thread does both.
 *
 * @param keeps - what is still needed afterwards.
 */
export function backwardAliasesOf(
  inputs: Readonly<Record<'x' | 'dy' | 'dsum', Tensor | undefined>>,
  { dx }: BackwardOutputs,
  keeps: 'x' | 'all' | undefined,
): Aliases | undefined {
  const aliases: Aliases = {};
  if (keeps === 'all') return undefined;
  for (const name of ['x', 'dy', 'dsum'] as const) {
    const input = inputs[name];
    if (input && isSame(input, dx) && name !== keeps) aliases[name] = 'dx';
  }
  return Object.keys(aliases).length > 0 ? aliases : undefined;
}

/**
 * Throws `aliasing` if dx is to be written over a dy that is a result, too: the gradient of a residual where no activation follows.
 */
export function checkResidualGradient(
  {
    residual,
    gate,
    activation,
  }: { residual: unknown; gate: unknown; activation: BackwardDescriptor['activation'] },
  aliases: Aliases | undefined,
): void {
  if (!aliases?.dy || !residual || gate || activation !== 'none') return;
  throw new NormError(
    'aliasing',
    'out.dx is dy, which is the gradient of the residual, too.',
    'Give out.dx a tensor of its own.',
  );
}

/**
 * The schedule of a call in place. y may be written over an input in any: whoever writes an element is the last to read it. sum is
 * written before others have read what their statistics start from, but where a row is kept in registers until all have read it, or a
 * thread is alone with its columns.
 *
 * @throws NormError `aliasing` if sum is to be written over an input in another strategy, or in rows that are too long for that one.
 */
export function scheduleInPlace(
  gpu: Gpu,
  { geometry }: NormCall,
  aliases: Aliases | undefined,
  schedule: ScheduleOptions = {},
): ScheduleOptions {
  const over = aliases?.x === 'sum' ? 'x' : aliases?.residual === 'sum' ? 'residual' : undefined;
  if (!over) return schedule;
  const fix = `Give out.sum a GPUBuffer of its own, or leave it out.`;
  const right = geometry.runs ? 'thread' : 'registers';
  const { strategy = right } = schedule;
  if (strategy !== right) {
    throw new NormError(
      'aliasing',
      `out.sum is ${over}, which the strategy ${strategy} reads again after it was written.`,
      `Use the strategy ${right}. ${fix}`,
    );
  }
  const most = mostColumns(gpu.facts, 'forward');
  if (!geometry.runs && setSize(geometry) > most) {
    throw new NormError(
      'aliasing',
      `out.sum is ${over}, but a row of ${setSize(geometry)} is longer than the ${most} elements that a workgroup keeps in registers.`,
      fix,
    );
  }
  return { ...schedule, strategy };
}
