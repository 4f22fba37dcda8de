import foldBias from '../../shaders/kernels/convert/fold_bias.wgsl';
import foldWeight from '../../shaders/kernels/convert/fold_weight.wgsl';
import { byteSize, type FloatDType } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';
import { chunksOf } from '../plan/chunks.ts';
import { rangeOf } from './pass.ts';
import { kernelOf, stepOf, storageChoices } from './step.ts';

/** A BatchNorm in evaluation and the weights that it is folded into. */
export interface FoldDescriptor {
  /** Output channels. */
  channels: number;
  /** Input channels, or whatever comes before the output channels in the shape of the weights. */
  outer: number;
  /** Output channels in the shape of the weights: those of one group. */
  width: number;
  /** Elements of the weights behind these. */
  inner: number;
  /** Of the weights and the bias that are folded. */
  dtype: FloatDType;
  /** Of BatchNorm's weight and bias. */
  paramDtype: FloatDType;
  eps: number;
  linearBias: boolean;
  weight: boolean;
  bias: boolean;
}

const workgroup = 64;

/**
 * The dispatches that fold. Roles: linear_weight, linear_bias, weight, bias, running_mean, running_var in; folded_weight,
 * folded_bias out.
 */
export function foldProgram(d: FoldDescriptor, facts: DeviceFacts): Program {
  const { dtype, paramDtype, channels, outer, width, inner, eps } = d;
  const choices = {
    ...storageChoices(dtype, paramDtype, facts),
    WORKGROUP: workgroup,
    HAS_LINEAR_BIAS: d.linearBias,
    HAS_WEIGHT: d.weight,
    HAS_BIAS: d.bias,
  };
  const weights = kernelOf(foldWeight, choices);
  // Segments of one output channel, cut where a binding ends.
  const segments = { samples: outer * width, positions: 1, channels: inner, inner: 1, groups: 0 };
  const chunks = outer * width * inner === 0 ? [] : chunksOf(segments, byteSize(dtype), [], {}, facts);
  const steps = chunks.map((chunk): Step => {
    const { first, like } = rangeOf(segments, dtype, chunk, facts);
    return stepOf(weights, {
      numbers: {
        channels: width,
        positions: Math.max(1, (outer * width) / channels),
        rows: chunk.samples,
        cols: inner,
        eps,
        first_element: first,
        first_set: chunk.firstSample,
      },
      ranges: { linear_weight: like, folded_weight: like },
      workgroups: Math.ceil((chunk.samples * inner) / workgroup),
    });
  });
  const biases = kernelOf(foldBias, choices);
  steps.push(
    stepOf(biases, { numbers: { channels, eps }, ranges: {}, workgroups: Math.ceil(channels / workgroup) }),
  );
  return { steps, scratch: {} };
}
