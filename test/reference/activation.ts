import type { Activation } from '../../src/kernels/activation.ts';

/** The error function, to 1e-14: its series near 0, a continued fraction of erfc beyond. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
      if (n > 200) break;
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));
const cumulative = (z: number): number => 0.5 * (1 + erf(z / Math.SQRT2));

/** activation(z) as torch.nn has it. */
export function activate(z: number, activation: Activation, negativeSlope = 0.01): number {
  switch (activation) {
    case 'none':
      return z;
    case 'relu':
      return Math.max(z, 0);
    case 'leakyRelu':
      return z > 0 ? z : negativeSlope * z;
    case 'relu6':
      return Math.min(Math.max(z, 0), 6);
    case 'silu':
      return z * sigmoid(z);
    case 'gelu':
      return z * cumulative(z);
    case 'hardswish':
      return (z * Math.min(Math.max(z + 3, 0), 6)) / 6;
  }
}

/** Its derivative; at a kink, what torch's backward takes. */
export function activationDerivative(z: number, activation: Activation, negativeSlope = 0.01): number {
  switch (activation) {
    case 'none':
      return 1;
    case 'relu':
      return z > 0 ? 1 : 0;
    case 'leakyRelu':
      return z > 0 ? 1 : negativeSlope;
    case 'relu6':
      return z > 0 && z < 6 ? 1 : 0;
    case 'silu':
      return sigmoid(z) * (1 + z * (1 - sigmoid(z)));
    case 'gelu':
      return cumulative(z) + (z * Math.exp(-0.5 * z * z)) / Math.sqrt(2 * Math.PI);
    case 'hardswish':
      return z <= -3 ? 0 : z >= 3 ? 1 : z / 3 + 0.5;
  }
}

/**
 * The sizes of the terms that the derivative is a sum of. Where they cancel (hardswish near -1.5, silu near -1.28, gelu near -0.75), it cannot be
 * more exact than they are.
 */
export function derivativeTerms(z: number, activation: Activation, negativeSlope = 0.01): number {
  switch (activation) {
    case 'silu':
      return sigmoid(z) * (1 + Math.abs(z) * (1 - sigmoid(z)));
    case 'gelu':
      return cumulative(z) + (Math.abs(z) * Math.exp(-0.5 * z * z)) / Math.sqrt(2 * Math.PI);
    case 'hardswish':
      return z <= -3 ? 0 : z >= 3 ? 1 : Math.abs(z) / 3 + 0.5;
    default:
      return Math.abs(activationDerivative(z, activation, negativeSlope));
  }
}

/** Where the derivative jumps. */
export const kinks: Readonly<Record<Activation, readonly number[]>> = {
  none: [],
  relu: [0],
  leakyRelu: [0],
  relu6: [0, 6],
  silu: [],
  gelu: [],
  hardswish: [-3, 3],
};
