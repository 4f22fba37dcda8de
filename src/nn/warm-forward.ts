import type { Repeat } from '../gpu/execute.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { NormForwardResult } from '../ops/norm-forward.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';
import type { Parameter } from './parameter.ts';

/** What a forward pass depends on beside x, the parameters and the running statistics. */
export interface WarmOptions {
  out?: Tensor | undefined;
  outSum?: Tensor | undefined;
  residual?: Tensor | undefined;
  schedule?: ScheduleOptions | undefined;
  encoder?: GPUCommandEncoder | undefined;
  pass?: GPUComputePassEncoder | undefined;
}

/**
 * The last forward into an output of the caller's, to be recorded again. A class of its own, of one shape for all norms,
 * and comparisons one by one: beside the WebGPU calls this is all that a warm forward costs, 0.02 µs.
 */
export class WarmForward<Saved> {
  readonly repeat: Repeat;
  readonly result: NormForwardResult;
  readonly saved: Saved;
  /** What forward does with running statistics; undefined for norms that have none. */
  readonly running: unknown;
  readonly #x: Tensor;
  readonly #addend: Tensor | undefined;
  readonly #out: Tensor | undefined;
  readonly #outSum: Tensor | undefined;
  readonly #residual: Tensor | undefined;
  readonly #schedule: ScheduleOptions | undefined;
  readonly #weight: Parameter | null;
  readonly #weightData: Tensor | undefined;
  readonly #bias: Parameter | null;
  readonly #biasData: Tensor | undefined;

  constructor(
    repeat: Repeat,
    result: NormForwardResult,
    saved: Saved,
    running: unknown,
    x: Tensor,
    addend: Tensor | undefined,
    options: WarmOptions,
    weight: Parameter | null,
    bias: Parameter | null,
  ) {
    this.repeat = repeat;
    this.result = result;
    this.saved = saved;
    this.running = running;
    this.#x = x;
    this.#addend = addend;
    this.#out = options.out;
    this.#outSum = options.outSum;
    this.#residual = options.residual;
    this.#schedule = options.schedule;
    this.#weight = weight;
    this.#weightData = weight?.data;
    this.#bias = bias;
    this.#biasData = bias?.data;
  }

  /** Whether a call, but for its running statistics, is that one, and nothing it needs is gone. */
  isAgain(
    x: Tensor,
    addend: Tensor | undefined,
    options: WarmOptions,
    weight: Parameter | null,
    bias: Parameter | null,
  ): boolean {
    return (
      x === this.#x &&
      options.out === this.#out &&
      addend === this.#addend &&
      options.outSum === this.#outSum &&
      options.residual === this.#residual &&
      options.schedule === this.#schedule &&
      weight === this.#weight &&
      (weight === null || weight.data === this.#weightData) &&
      bias === this.#bias &&
      (bias === null || bias.data === this.#biasData) &&
      !(options.encoder && options.pass) &&
      this.repeat.possible
    );
  }
}
