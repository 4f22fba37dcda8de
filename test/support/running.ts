/** Running statistics in float64: the rules of torch.nn's BatchNorm and InstanceNorm. */
import { batchNormGeometry, instanceNormGeometry, type Layout, setSize } from '../reference/geometry.ts';
import { normReference } from '../reference/norm.ts';

export class RunningReference {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
  /**
   * The sizes of the terms that they are sums of: a momentum outside of [0, 1] lets those cancel, and so do the elements that a mean near
   * zero is made of, whose size is their root mean square.
   */
  readonly scale: { mean: Float64Array; variance: Float64Array };
  readonly #perInstance: boolean;
  batches = 0;

  /** @param perInstance - InstanceNorm's: the mean over the batch of an update by each sample. */
  constructor(channels: number, perInstance = false) {
    this.mean = new Float64Array(channels);
    this.variance = new Float64Array(channels).fill(1);
    this.scale = { mean: this.mean.slice(), variance: this.variance.slice() };
    this.#perInstance = perInstance;
  }

  /** (1 − f)·running + f·statistic, with the unbiased variance. */
  update(x: ArrayLike<number>, shape: readonly number[], layout: Layout, momentum: number | null): void {
    const geometry = (this.#perInstance ? instanceNormGeometry : batchNormGeometry)(shape, layout);
    const { samples, channels } = geometry;
    const { mean, rstd } = normReference(x, geometry, { eps: 0, kind: 'moments' });
    const count = setSize(geometry);
    this.batches++;
    const f = momentum ?? 1 / this.batches;
    const average = (channel: number, statistic: (set: number) => number) => {
      let total = 0;
      for (let sample = 0; sample < samples; sample++) total += statistic(sample * channels + channel);
      return total / samples;
    };
    const move = (name: 'mean' | 'variance', channel: number, value: number, size: number) => {
      const [values, scale] = [this[name], this.scale[name]];
      values[channel] = (1 - f) * (values[channel] as number) + f * value;
      scale[channel] = Math.abs(1 - f) * (scale[channel] as number) + Math.abs(f * size);
    };
    for (let channel = 0; channel < channels; channel++) {
      const rms = (set: number) => Math.hypot(mean[set] as number, 1 / (rstd[set] as number));
      move(
        'mean',
        channel,
        average(channel, (set) => mean[set] as number),
        average(channel, rms),
      );
      const variance = average(channel, (set) => ((rstd[set] as number) ** -2 * count) / (count - 1));
      move('variance', channel, variance, variance);
    }
  }
}
