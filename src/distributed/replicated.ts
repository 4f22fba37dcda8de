// BatchNorm over replicas, in two steps: what this replica has to say, then the rest with what all have said. The
// exchange between them is src/distributed's.
import { execute } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { alignUp, type Program } from '../gpu/program.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { BackwardCall, BackwardResult, ForwardCall } from '../ops/norm.ts';
import { type BackwardPlan, type NormBackwardOptions, planBackward } from '../ops/norm-backward.ts';
import {
  type ForwardPlan,
  forwardResult,
  type NormForwardOptions,
  planForward,
} from '../ops/norm-forward.ts';
import { backwardOf, forwardOf } from '../ops/programs.ts';
import { setSize } from '../plan/geometry.ts';

/** The first step of a forward or backward pass, recorded and submitted. */
export interface Measured {
  /** f32; none where x is empty. Forward: mean [C, 2] and the biased standard deviation [C]; backward: Σdy and Σdy·x̂ [C]. */
  tensors: Tensor[];
  /** Frees them, and whatever else the first step made: the pass is given up, or done. */
  free(done: boolean): void;
}

/** Statistics of a forward pass over all replicas. */
export interface JoinedStatistics {
  /** f32 [C, 4]: the mean as hi + lo, 1 / sqrt(variance + eps), Σ(x − mean)². */
  values: Float32Array<ArrayBuffer>;
  /** Elements of a channel in all replicas. 0: there is nothing to normalize or to update. */
  total: number;
}

/** A forward pass of one replica. Throws as batchNorm if it is invalid; then nothing has happened. */
export class ReplicaForward {
  readonly call: ForwardCall;
  readonly x: Tensor;
  readonly #gpu: Gpu;
  readonly #plan: ForwardPlan;
  readonly #local: Program;

  constructor(
    gpu: Gpu,
    call: ForwardCall,
    x: Tensor,
    bias: Tensor | null | undefined,
    options: NormForwardOptions,
  ) {
    this.#gpu = gpu;
    this.call = call;
    this.x = x;
    this.#plan = planForward(gpu, call, x, undefined, bias, { ...options, keepsInputs: true });
    this.#local = forwardOf(gpu, call, {
      ...this.#plan.d,
      running: undefined,
      variance: undefined,
      weight: false,
      bias: false,
      activation: 'none',
      residual: 'none',
      stage: 'local',
    });
  }

  /** Channels. */
  get channels(): number {
    return this.call.geometry.channels;
  }

  /** Elements of a channel in this replica. */
  get count(): number {
    return setSize(this.call.geometry);
  }

  measure(): Measured {
    if (this.count === 0) return { tensors: [], free: () => {} };
    const gpu = this.#gpu;
    const tensors = gpu.orNothing(() => {
      const mean = gpu.empty([this.channels, 2]);
      const deviations = gpu.empty([this.channels]);
      execute(gpu, this.#local, { x: this.x, mean, deviations }, {}, `${this.call.name}.forward.local`);
      return [mean, deviations];
    });
    for (const tensor of tensors) gpu.keep(tensor); // it lives longer than a scope of the caller's
    return {
      tensors,
      free: () => {
        for (const tensor of tensors) tensor.destroy();
      },
    };
  }

  /** Throws unless all tensors can still be used: other ranks were waited for meanwhile. */
  check(): void {
    this.#plan.check();
  }

  /** To be called after {@link check}. */
  apply({ values, total }: JoinedStatistics) {
    const gpu = this.#gpu;
    const { d, inputs, make } = this.#plan;
    const program = forwardOf(gpu, this.call, { ...d, stage: 'joined', total });
    return gpu.orNothing(() => {
      const result = forwardResult<true>(make());
      if (total === 0) return result;
      const joined = gpu.tensor(values, [this.channels, 4]);
      execute(gpu, program, { ...inputs, ...result, joined }, {}, `${this.call.name}.forward.joined`);
      joined.destroy();
      return result;
    });
  }
}

/** A backward pass of one replica, likewise. */
export class ReplicaBackward {
  readonly call: BackwardCall;
  readonly x: Tensor;
  readonly #gpu: Gpu;
  readonly #plan: BackwardPlan;
  readonly #local: Program;
  /** What the first step stores for the second: the gradient behind an activation and a residual. */
  #dresidual: Tensor | undefined;

  constructor(
    gpu: Gpu,
    call: BackwardCall,
    dy: Tensor,
    x: Tensor,
    mean: Tensor,
    options: NormBackwardOptions,
  ) {
    this.#gpu = gpu;
    this.call = call;
    this.x = x;
    this.#dresidual = options.out?.dresidual;
    this.#plan = planBackward(gpu, call, dy, x, mean, undefined, true, {
      ...options,
      keeps: 'all',
      newDresidual: () => this.#dresidual,
    });
    this.#local = backwardOf(gpu, call, { ...this.#plan.d, stage: 'local' });
  }

  get channels(): number {
    return this.call.geometry.channels;
  }

  measure(): Measured {
    const gpu = this.#gpu;
    const { d, inputs } = this.#plan;
    if (setSize(this.call.geometry) === 0) return { tensors: [], free: () => {} };
    const { made, tensors } = gpu.orNothing(() => {
      const wanted = d.residual === 'after' && !this.#dresidual;
      const made = wanted ? gpu.empty(this.x.shape, { dtype: this.x.dtype }) : undefined;
      const dbias = gpu.empty([this.channels]);
      const dweight = gpu.empty([this.channels]);
      const operands = { ...inputs, dbias, dweight, dresidual: made ?? this.#dresidual };
      execute(gpu, this.#local, operands, {}, `${this.call.name}.backward.local`);
      return { made, tensors: [dbias, dweight] };
    });
    for (const tensor of tensors) gpu.keep(tensor);
    if (made) this.#dresidual = gpu.keep(made);
    return {
      tensors,
      free: (done) => {
        for (const tensor of tensors) tensor.destroy();
        if (!done) made?.destroy();
      },
    };
  }

  /** As of {@link ReplicaForward}. */
  check(): void {
    this.#plan.check();
  }

  /**
   * To be called after {@link check}.
   *
   * @param joined - [C, 2]: Σdy and Σdy·x̂ of all replicas.
   * @param own - likewise of this one, for dweight and dbias.
   */
  apply(joined: Float32Array, own: Float32Array, total: number): BackwardResult {
    const gpu = this.#gpu;
    const { d, make } = this.#plan;
    const program = backwardOf(gpu, this.call, { ...d, stage: 'joined', total });
    // One upload for both.
    const second = alignUp(4 * joined.length, gpu.facts.offsetAlignment) / 4;
    const values = new Float32Array(second + own.length);
    values.set(joined);
    values.set(own, second);
    return gpu.orNothing(() => {
      const { operands, ...result } = make();
      const sums = gpu.tensor(values, [values.length]);
      const shape = [this.channels, 2];
      const both = { partials: sums.view(shape), gradients: sums.view(shape, second) };
      execute(gpu, program, { ...operands, ...both }, {}, `${this.call.name}.backward.joined`);
      sums.destroy();
      return result;
    });
  }
}
