/** BatchNorm's running statistics in float64. */
import { batchNormGeometry, type Layout, setSize } from '../../src/reference/geometry.ts';
import { normReference } from '../../src/reference/norm.ts';

export class RunningReference {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
  /** The sizes of the terms that they are sums of: a momentum outside of [0, 1] lets those cancel. */
  readonly scale: { mean: Float64Array; variance: Float64Array };
  batches = 0;

  constructor(channels: number) {
    this.mean = new Float64Array(channels);
    this.variance = new Float64Array(channels).fill(1);
    this.scale = { mean: this.mean.slice(), variance: this.variance.slice() };
  }

  /** torch.nn.BatchNorm's rule: (1 − f)·running + f·statistic, with the unbiased variance. */
  update(x: ArrayLike<number>, shape: readonly number[], layout: Layout, momentum: number | null): void {
    const geometry = batchNormGeometry(shape, layout);
    const { mean, rstd } = normReference(x, geometry, { eps: 0, kind: 'moments' });
    const count = setSize(geometry);
    this.batches++;
    const f = momentum ?? 1 / this.batches;
    const move = (name: 'mean' | 'variance', channel: number, statistic: number) => {
      const [values, scale] = [this[name], this.scale[name]];
      values[channel] = (1 - f) * (values[channel] as number) + f * statistic;
      scale[channel] = Math.abs(1 - f) * (scale[channel] as number) + Math.abs(f * statistic);
    };
    for (let channel = 0; channel < geometry.channels; channel++) {
      move('mean', channel, mean[channel] as number);
      move('variance', channel, ((rstd[channel] as number) ** -2 * count) / (count - 1));
    }
  }
}
