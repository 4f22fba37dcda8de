// Judges what the GPU computed, off the page's own thread.
import {
  type Geometry,
  localResponseNormBackwardReference,
  localResponseNormReference,
  normBackwardReference,
  normReference,
  type ReferenceResponseOptions,
  relativeError,
} from '../../../test/reference/index.ts';
import { largestDifference, naiveNorm } from './judge.ts';

export interface Question {
  geometry: Geometry;
  kind: 'moments' | 'rms' | 'response';
  /** LocalResponseNorm's. */
  response: ReferenceResponseOptions;
  eps: number;
  weight: number;
  bias: number;
  x: Float32Array<ArrayBuffer>;
  y: Float32Array<ArrayBuffer>;
  dy: Float32Array<ArrayBuffer>;
  dx: Float32Array<ArrayBuffer>;
}

export interface Answer {
  /** ‖y − y64‖ / ‖y64‖. */
  relative: number;
  /** max |y − y64|. */
  absolute: number;
  /** ‖dx − dx64‖ / ‖rstd · γ · dy‖; of LocalResponseNorm, relative to the terms of dx. */
  gradient: number;
  /** Of the first set, in float64; undefined where there is none. */
  variance: number | undefined;
  naive: { y: Float32Array<ArrayBuffer>; variance: number; relative: number } | undefined;
}

function answer(question: Question): Answer {
  const { geometry, kind, eps, weight, bias, x, y, dy, dx } = question;
  if (kind === 'response') {
    const expected = localResponseNormReference(x, geometry, question.response);
    const gradients = localResponseNormBackwardReference(dy, x, geometry, question.response);
    return {
      relative: relativeError(y, expected),
      absolute: largestDifference(y, expected),
      gradient: relativeError(dx, gradients.dx, gradients.scale),
      variance: undefined,
      naive: undefined,
    };
  }
  const weights = new Float32Array(geometry.channels).fill(weight);
  const biases = kind === 'rms' ? null : new Float32Array(geometry.channels).fill(bias);
  const options = { kind, eps, weight: weights, bias: biases };
  const expected = normReference(x, geometry, options);
  const gradients = normBackwardReference(dy, x, geometry, options);
  const judged = {
    relative: relativeError(y, expected.y),
    absolute: largestDifference(y, expected.y),
    gradient: relativeError(dx, gradients.dx, gradients.scale.dx),
  };
  // The mean square of RMSNorm has nothing to cancel.
  if (kind === 'rms') return { ...judged, variance: undefined, naive: undefined };
  const naive = naiveNorm(x, geometry, { weight, bias, eps });
  return {
    ...judged,
    variance: (expected.rstd[0] as number) ** -2 - eps,
    naive: { ...naive, relative: relativeError(naive.y, expected.y) },
  };
}

addEventListener('message', ({ data }: MessageEvent<Question>) => {
  const result = answer(data);
  postMessage(result, { transfer: result.naive ? [result.naive.y.buffer] : [] });
});
