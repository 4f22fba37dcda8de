// What is done to the gradients of many parameters, as programs: one dispatch per tensor, or per packed tensor (src/optim/packing.ts).
import clipFactor from '../../shaders/kernels/optim/clip_factor.wgsl';
import clipValues from '../../shaders/kernels/optim/clip_values.wgsl';
import gradientNorm from '../../shaders/kernels/optim/gradient_norm.wgsl';
import scaleGradients from '../../shaders/kernels/optim/scale_gradients.wgsl';
import scaled from '../../shaders/kernels/optim/scaled.wgsl';
import updateScale from '../../shaders/kernels/optim/update_scale.wgsl';
import type { FloatDType } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program } from '../gpu/program.ts';
import { elementwise, placewise, share } from './optim.ts';
import { kernelOf, stepOf, storageChoices } from './step.ts';

/** Gradients as the kernels see them. */
export interface GradientDescriptor {
  size: number;
  dtype: FloatDType;
  /** How many places are taken of a packed tensor; 0 for a tensor by itself. */
  places: number;
}

const workgroup = 64;

/** Partial norms of a tensor that is no packed one: enough to keep a GPU busy, few enough for one workgroup to merge. */
const mostPartials = 1024;

/** Elements that a workgroup has of a norm. */
const shareOfNorm = (size: number): number => share * Math.ceil(size / (share * mostPartials));

/** Words of a partial norm. */
export const wordsPerPartial = 3;

/** 1, 2, or 0 for the largest size. */
export type NormNumber = 0 | 1 | 2;

const choicesOf = ({ dtype, places }: GradientDescriptor, facts: DeviceFacts) => ({
  ...storageChoices(dtype, dtype, facts),
  WORKGROUP: workgroup,
  PACKED: places > 0,
});

/** Partial norms, from number `first` on. Roles: grad, partials_of_norm, places. */
export function gradientNormProgram(
  d: GradientDescriptor,
  norm: NormNumber,
  first: number,
  facts: DeviceFacts,
): Program {
  const kernel = kernelOf(gradientNorm, { ...choicesOf(d, facts), NORM: norm });
  if (d.places > 0)
    return placewise(d.places, kernel, facts, { first_partial: first, partial_count: d.places });
  const each = shareOfNorm(d.size);
  let next = first;
  const numbers = (workgroups: number) => {
    next += workgroups;
    return { first_partial: next - workgroups, partial_count: workgroups };
  };
  return elementwise(d.size, kernel, { grad: d.dtype }, facts, numbers, each);
}

/** How many partial norms that are. */
export const partialsOf = (program: Program): number =>
  program.steps.reduce((sum, { workgroups }) => sum + workgroups, 0);

/** The norm and the factor. Roles: partials_of_norm, norm_bits, factor_bits. */
export function clipFactorProgram(partials: number, norm: NormNumber, maxNorm: number): Program {
  const kernel = kernelOf(clipFactor, { WORKGROUP: workgroup, NORM: norm });
  const numbers = { partial_count: partials, max_norm: maxNorm };
  return { steps: [stepOf(kernel, { numbers, ranges: {}, workgroups: 1 })], scratch: {} };
}

/** Gradients times a factor. Roles: grad, factor, places; if it `finds`, found_inf. */
export function scaleGradientsProgram(d: GradientDescriptor, finds: boolean, facts: DeviceFacts): Program {
  const kernel = kernelOf(scaleGradients, { ...choicesOf(d, facts), ITEMS: share / workgroup, FINDS: finds });
  return d.places > 0
    ? placewise(d.places, kernel, facts)
    : elementwise(d.size, kernel, { grad: d.dtype }, facts);
}

/** Gradients within a bound. Roles: grad, places. */
export function clipValuesProgram(d: GradientDescriptor, bound: number, facts: DeviceFacts): Program {
  const kernel = kernelOf(clipValues, choicesOf(d, facts));
  return d.places > 0
    ? placewise(d.places, kernel, facts, { bound })
    : elementwise(d.size, kernel, { grad: d.dtype }, facts, () => ({ bound }));
}

/** A tensor times a factor. Roles: x, factor, y. */
export function scaledProgram(size: number, from: FloatDType, to: FloatDType, facts: DeviceFacts): Program {
  const types = storageChoices(from, to, facts);
  const kernel = kernelOf(scaled, { ...types, WORKGROUP: workgroup, PACKED: false });
  return elementwise(size, kernel, { x: from, y: to }, facts);
}

/** The scale of the next step. Roles: found_inf, loss_scale, inverse_scale, growth_tracker. */
export function updateScaleProgram(numbers: {
  optimizers: number;
  stride: number;
  growth: number;
  backoff: number;
  growth_interval: number;
}): Program {
  const kernel = kernelOf(updateScale, { WORKGROUP: 1 });
  return { steps: [stepOf(kernel, { numbers, ranges: {}, workgroups: 1 })], scratch: {} };
}
