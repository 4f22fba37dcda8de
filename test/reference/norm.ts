import type { Activation } from '../../src/kernels/activation.ts';
import { activate, activationDerivative, derivativeTerms } from './activation.ts';
import { elementCount, forEachElement, type Geometry, setCount, setSize } from './geometry.ts';
import { Sums } from './sums.ts';

export interface ReferenceOptions {
  /** One value per channel; absent or null means 1. */
  weight?: ArrayLike<number> | null | undefined;
  /** One value per channel; absent or null means 0. */
  bias?: ArrayLike<number> | null | undefined;
  /** Added to the variance (or the mean square) inside the square root; of 'l2' to the sum of squares. */
  eps: number;
  /**
   * 'moments' subtracts the mean and divides by the standard deviation; 'rms' only divides by the root mean square, and 'l2' by the root of
   * the sum of squares.
   */
  kind: 'moments' | 'rms' | 'l2';
  /** Of 'l2': 'max' divides by eps where the length is below it, instead of adding it to the square. Default 'add'. */
  epsMode?: 'max' | 'add' | undefined;
  /** Added to every weight: Gemma stores weight - 1 and multiplies by (1 + weight). Default 0. */
  weightOffset?: number | undefined;
  /** Statistics to normalize with instead of those of x, on which they then do not depend: one of each per set. */
  frozen?: { mean: ArrayLike<number>; variance: ArrayLike<number> } | undefined;
  /** Added to xhat * weight + bias, before the activation; shaped like x. Absent means 0. */
  residual?: ArrayLike<number> | null | undefined;
  /** xhat * weight + bias is multiplied by the activation of this, which then is not its own; shaped like x. */
  gate?: ArrayLike<number> | null | undefined;
  /** Default 'none'. */
  activation?: Activation | undefined;
  /** Of 'leakyRelu'. Default 0.01. */
  negativeSlope?: number | undefined;
  /**
   * Whether gradients are judged against the terms of activation'(z), too, which nearly cancel around a zero of it: for tensors all of whose
   * values may lie there. Default false.
   */
  judgeByTerms?: boolean | undefined;
}

export interface ReferenceForward {
  /** Shaped like x. */
  y: Float64Array;
  /** One per set, in the order (sample, group); zeros for 'rms'. */
  mean: Float64Array;
  /** One per set: 1 / sqrt(variance + eps), or 1 / sqrt(mean square + eps); of 'l2' what x is multiplied by, times sqrt(elements). */
  rstd: Float64Array;
}

export interface ReferenceBackward {
  /** Shaped like x. */
  dx: Float64Array;
  /** One per channel, also when there is no weight. */
  dweight: Float64Array;
  /** One per channel, also when there is no bias. */
  dbias: Float64Array;
  /** Shaped like x: the gradient of z, which is that of the residual. */
  dresidual: Float64Array;
  /** Shaped like x: the gradient of the gate, where there is one. */
  dgate?: Float64Array;
  /**
   * The sizes of the terms that each gradient is a sum of, before they cancel. An error is judged against these: a
   * gradient that cancels to almost nothing cannot be more exact than its terms.
   */
  scale: {
    /** |rstd * weight * dz| per element, plus |dsum| where there is one; dz as `judgeByTerms` says, here and below. */
    dx: Float64Array;
    /** Per channel, sum of |dz * xhat|. */
    dweight: Float64Array;
    /** Per channel, sum of |dz|. */
    dbias: Float64Array;
    /** |dy| per element. */
    dresidual: Float64Array;
    /** |dy * z| per element. */
    dgate?: Float64Array;
  };
}

/** weight + weightOffset for every channel. */
function scaleOf(geometry: Geometry, { weight, weightOffset = 0 }: ReferenceOptions): Float64Array {
  const scale = new Float64Array(geometry.channels).fill(1);
  return weight ? scale.map((_, channel) => (weight[channel] as number) + weightOffset) : scale;
}

function checkLengths(
  geometry: Geometry,
  lengths: Record<string, [ArrayLike<number> | null | undefined, number]>,
) {
  for (const [name, [values, expected]] of Object.entries(lengths)) {
    if (values && values.length !== expected) {
      throw new RangeError(`${name} has ${values.length} values, the geometry needs ${expected}`);
    }
  }
  if (geometry.channels % geometry.groups !== 0) {
    throw new RangeError(`${geometry.channels} channels do not fall into ${geometry.groups} groups`);
  }
}

/** What rstd is multiplied by. */
const shrinkOf = (geometry: Geometry, { kind }: ReferenceOptions): number =>
  kind === 'l2' ? 1 / Math.sqrt(setSize(geometry)) : 1;

/**
 * mean and rstd of every set, in two passes: the variance is the mean of the squared distances from the mean, divided
 * by the number of elements (the biased variance, which torch.nn's norms normalise with).
 */
function statistics(x: ArrayLike<number>, geometry: Geometry, options: ReferenceOptions) {
  const { eps, kind, epsMode, frozen } = options;
  if (frozen) {
    const rstd = Float64Array.from(frozen.variance, (variance) => 1 / Math.sqrt(variance + eps));
    return { mean: Float64Array.from(frozen.mean), rstd };
  }
  const sets = setCount(geometry);
  const size = setSize(geometry);
  let mean: Float64Array = new Float64Array(sets);
  if (kind === 'moments') {
    const sum = new Sums(sets);
    forEachElement(geometry, (element, set) => sum.add(set, x[element] as number));
    mean = sum.values(size);
  }
  const squares = new Sums(sets);
  forEachElement(geometry, (element, set) => {
    const distance = (x[element] as number) - (mean[set] as number);
    squares.add(set, distance * distance);
  });
  if (kind === 'l2') {
    const lengths = squares
      .values()
      .map((sum) => (epsMode === 'max' ? Math.max(Math.sqrt(sum), eps) : Math.sqrt(sum + eps)));
    return { mean, rstd: lengths.map((length) => Math.sqrt(size) / length) };
  }
  return { mean, rstd: squares.values(size).map((variance) => 1 / Math.sqrt(variance + eps)) };
}

/**
 * The forward pass of every norm, in float64.
 *
 *     xhat = (x - mean) * rstd        mean = E[x],  rstd = 1 / sqrt(E[(x - mean)^2] + eps)        'moments'
 *     xhat = x * rstd                               rstd = 1 / sqrt(E[x^2] + eps)                 'rms'
 *     xhat = x / length               length = sqrt(sum(x^2) + eps), or max(sqrt(sum(x^2)), eps)  'l2'
 *     z    = xhat * (weight + weightOffset) + bias + residual
 *     y    = activation(z), or z * activation(gate)
 *
 * LayerNorm: Ba, Kiros, Hinton 2016 (arXiv:1607.06450). RMSNorm: Zhang, Sennrich 2019 (arXiv:1910.07467), with eps
 * where torch.nn.RMSNorm has it. GroupNorm: Wu, He 2018 (arXiv:1803.08494). InstanceNorm: Ulyanov, Vedaldi, Lempitsky
 * 2016 (arXiv:1607.08022). L2 normalization: torch.nn.functional.normalize, flash-linear-attention's l2norm. BatchNorm: Ioffe, Szegedy 2015 (arXiv:1502.03167). The conventions (biased variance, eps inside the root) are torch.nn's.
 */
export function normReference(
  x: ArrayLike<number>,
  geometry: Geometry,
  options: ReferenceOptions,
): ReferenceForward {
  const { bias, residual, activation = 'none', negativeSlope } = options;
  const count = elementCount(geometry);
  checkLengths(geometry, {
    x: [x, count],
    weight: [options.weight, geometry.channels],
    bias: [bias, geometry.channels],
    residual: [residual, count],
  });
  const weight = scaleOf(geometry, options);
  const { mean, rstd } = statistics(x, geometry, options);
  const shrink = shrinkOf(geometry, options);
  const y = new Float64Array(count);
  forEachElement(geometry, (element, set, channel) => {
    const xhat = ((x[element] as number) - (mean[set] as number)) * ((rstd[set] as number) * shrink);
    const shift = (bias ? (bias[channel] as number) : 0) + (residual ? (residual[element] as number) : 0);
    const z = xhat * (weight[channel] as number) + shift;
    y[element] = options.gate
      ? z * activate(options.gate[element] as number, activation, negativeSlope)
      : activate(z, activation, negativeSlope);
  });
  return { y, mean, rstd };
}

/**
 * The backward pass of every norm, in float64: the gradients of sum(y * dy) + sum(x * dsum).
 *
 *     dz      = dy * activation'(z), which is also the gradient of the residual; below, dy stands for it
 *     g       = dy * (weight + weightOffset)
 *     dx      = rstd * (g - E[g] - xhat * E[g * xhat]) + dsum        'moments'; E is the mean over the set
 *     dx      = rstd * (g        - xhat * E[g * xhat]) + dsum        'rms'
 *     dx      = (g - xhat * sum(g * xhat)) / length                  'l2', or g / length where that is eps
 *     dx      = rstd * g + dsum                                      frozen
 *     dweight = sum over the channel of dy * xhat
 *     dbias   = sum over the channel of dy
 *
 * This is the chain rule through mean and rstd, eps included, as in torch's native_layer_norm_backward. dsum, shaped
 * like x, is the gradient that reaches x by another way: in residual + norm, x is the sum that is also an output.
 */
export function normBackwardReference(
  gradient: ArrayLike<number>,
  x: ArrayLike<number>,
  geometry: Geometry,
  options: ReferenceOptions,
  dsum?: ArrayLike<number> | null,
): ReferenceBackward {
  const { channels } = geometry;
  const count = elementCount(geometry);
  checkLengths(geometry, {
    dy: [gradient, count],
    x: [x, count],
    dsum: [dsum, count],
    weight: [options.weight, channels],
  });
  const { dy, terms } = upstream(gradient, x, geometry, options);
  const weight = scaleOf(geometry, options);
  const { mean, rstd } = statistics(x, geometry, options);
  const centred = options.kind === 'moments';
  const sets = setCount(geometry);
  const shrink = shrinkOf(geometry, options);
  // Where eps is the length that x is divided by.
  const least =
    options.kind === 'l2' && options.epsMode === 'max' ? Math.sqrt(setSize(geometry)) / options.eps : 0;
  const xhatAt = (element: number, set: number): number =>
    ((x[element] as number) - (mean[set] as number)) * (rstd[set] as number) * shrink;

  const sumG = new Sums(sets);
  const sumGXhat = new Sums(sets);
  const dweight = new Sums(channels);
  const dbias = new Sums(channels);
  const dweightScale = new Sums(channels);
  const dbiasScale = new Sums(channels);
  forEachElement(geometry, (element, set, channel) => {
    const dyHere = dy[element] as number;
    const xhat = xhatAt(element, set);
    const g = dyHere * (weight[channel] as number);
    if (centred) sumG.add(set, g);
    sumGXhat.add(set, g * xhat);
    dweight.add(channel, dyHere * xhat);
    dbias.add(channel, dyHere);
    dweightScale.add(channel, (terms[element] as number) * Math.abs(xhat));
    dbiasScale.add(channel, terms[element] as number);
  });

  const meanG = sumG.values(setSize(geometry));
  const meanGXhat = sumGXhat.values(options.kind === 'l2' ? 1 : setSize(geometry));
  const dx = new Float64Array(count);
  const dxScale = new Float64Array(count);
  forEachElement(geometry, (element, set, channel) => {
    const g = (dy[element] as number) * (weight[channel] as number);
    const r = (rstd[set] as number) * shrink;
    const depends = !options.frozen && rstd[set] !== least;
    const extra = dsum ? (dsum[element] as number) : 0;
    const through = (meanG[set] as number) + xhatAt(element, set) * (meanGXhat[set] as number);
    dx[element] = r * (depends ? g - through : g) + extra;
    dxScale[element] = r * (terms[element] as number) * Math.abs(weight[channel] as number) + Math.abs(extra);
  });
  return {
    dx,
    dweight: dweight.values(),
    dbias: dbias.values(),
    dresidual: Float64Array.from(dy),
    ...gateGradient(gradient, x, geometry, options),
    scale: {
      dx: dxScale,
      dweight: dweightScale.values(),
      dbias: dbiasScale.values(),
      dresidual: Float64Array.from(gradient, Math.abs),
      ...(options.gate && { dgate: gateTerms(gradient, x, geometry, options) }),
    },
  };
}

/** xhat * weight + bias. */
const mapped = (x: ArrayLike<number>, geometry: Geometry, options: ReferenceOptions): Float64Array =>
  normReference(x, geometry, { ...options, gate: undefined, activation: 'none' }).y;

/** dgate = dy * z * activation'(gate). */
function gateGradient(
  dy: ArrayLike<number>,
  x: ArrayLike<number>,
  geometry: Geometry,
  options: ReferenceOptions,
): { dgate?: Float64Array } {
  const { gate, activation = 'none', negativeSlope } = options;
  if (!gate) return {};
  const slope = (at: number) =>
    activation === 'none' ? 1 : activationDerivative(at, activation, negativeSlope);
  const z = mapped(x, geometry, options);
  return { dgate: z.map((value, i) => (dy[i] as number) * value * slope(gate[i] as number)) };
}

const gateTerms = (
  dy: ArrayLike<number>,
  x: ArrayLike<number>,
  geometry: Geometry,
  options: ReferenceOptions,
): Float64Array => mapped(x, geometry, options).map((value, i) => Math.abs((dy[i] as number) * value));

/** The gradient of z, and the sizes of its terms. */
function upstream(
  dy: ArrayLike<number>,
  x: ArrayLike<number>,
  geometry: Geometry,
  options: ReferenceOptions,
): { dy: ArrayLike<number>; terms: Float64Array } {
  const { activation = 'none', negativeSlope, gate, judgeByTerms = false } = options;
  if (gate) {
    const dz = Float64Array.from(dy, (up, i) => up * activate(gate[i] as number, activation, negativeSlope));
    return { dy: dz, terms: dz.map(Math.abs) };
  }
  if (activation === 'none') return { dy, terms: Float64Array.from(dy, Math.abs) };
  const { y: z } = normReference(x, geometry, { ...options, activation: 'none' });
  const of = (derivative: typeof activationDerivative, value: (upstream: number) => number) =>
    z.map((at, i) => value(dy[i] as number) * derivative(at, activation, negativeSlope));
  const dz = of(activationDerivative, Number);
  return { dy: dz, terms: judgeByTerms ? of(derivativeTerms, Math.abs) : dz.map(Math.abs) };
}
