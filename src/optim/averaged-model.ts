import { NormError } from '../gpu/errors.ts';
import { type Call, executeAll, type RecordOptions, recordNames } from '../gpu/execute.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { castProgram } from '../kernels/cast.ts';
import { averageProgram, countProgram } from '../kernels/optim.ts';
import { type AwaitedOptions, forwardOf } from '../nn/awaited.ts';
import { checkModule, Module, type PassOptions } from '../nn/module.ts';
import { checkTarget, checkTensorDType, checkTensorShape, floatDType, type Like } from '../ops/check.ts';
import { remember } from '../ops/programs.ts';

/** Options of {@link AveragedModel}. */
export interface AveragedModelOptions {
  /**
   * 'equal': the mean of the parameters at all updates (stochastic weight averaging, Izmailov et al. 2018, arXiv
   * 1803.05407). `{ decay }`: an exponential moving average, decay·average + (1 − decay)·parameter, decay in [0, 1];
   * torch's get_ema_avg_fn. Default 'equal'.
   */
  average?: 'equal' | { decay: number } | undefined;
  /** Averages the buffers of floats too; else they are copied at each update. Counts always are. Default false. */
  useBuffers?: boolean | undefined;
}

const names = {
  average: 'other',
  useBuffers: 'boolean',
} as const satisfies OptionNames<AveragedModelOptions>;

/** A tensor of the averaged model, and where it comes from. */
interface Pair {
  name: string;
  from: Tensor;
  to: Tensor;
  averaged: boolean;
}

/**
 * The average of a model's parameters over its training: torch.optim.swa_utils.AveragedModel. It is a module of its own,
 * with a state dict as PyTorch's (`n_averaged`, `module.…`), and evaluates the average.
 *
 * PyTorch copies the model. A module cannot be copied whatever its class, so the caller makes a second one: of the same
 * architecture, that is with parameters and buffers of the same names and shapes. Its parameters may be f32 beside
 * f16 ones; in f16, small changes of an average are lost.
 *
 * After averaging, BatchNorm's running statistics are not those of the averaged parameters: see {@link updateBatchNorm}.
 */
export class AveragedModel<M extends Module = Module> extends Module {
  /** The averaged model. */
  readonly module: M;
  /** u32 []: how many updates there were. */
  readonly nAveraged: Tensor;
  readonly #decay: number | null;
  readonly #useBuffers: boolean;

  /**
   * @param model - the model to be averaged.
   * @param copy - another of the same architecture. It takes the values of `model` now, and belongs to the AveragedModel
   * from now on: destroy() destroys it.
   * @throws NormError `value` for a decay out of range or other names, `shape`, `dtype` (buffers), `aliasing` if the two
   * share a tensor, `wrong-device`. The copy is then as it was.
   */
  constructor(model: Module, copy: M, options: AveragedModelOptions = {}) {
    checkModule(model);
    checkModule(copy, 'the copy');
    checkOptions('AveragedModel', options, names);
    super(model.gpu);
    const { average = 'equal', useBuffers = false } = options;
    const decay = average === 'equal' ? null : average?.decay;
    if (decay !== null && !(typeof decay === 'number' && decay >= 0 && decay <= 1)) {
      throw new NormError(
        'value',
        `average is ${shown(average)}, its decay ${shown(decay)}.`,
        "Use 'equal', or { decay } with a number from 0 to 1, such as 0.999.",
      );
    }
    this.#decay = decay;
    this.#useBuffers = useBuffers;
    const copying = this.#pairs(model, copy).map((pair) => this.#copying(pair));
    executeAll(this.gpu, copying, {}, 'averaged_model.copy');
    this.nAveraged = this.registerBuffer('n_averaged', this.gpu.zeros([], { dtype: 'u32' }));
    this.module = this.registerModule('module', copy);
  }

  /**
   * Takes the model's parameters into the average; the first time, they are the average. One dispatch per tensor,
   * recorded or at once; how many were averaged is counted on the GPU, and nothing is read back. PyTorch's
   * update_parameters.
   *
   * @param model - of the architecture that this was made with.
   * @throws NormError as the constructor. Nothing has changed then.
   */
  updateParameters(model: Module, options: RecordOptions = {}): void {
    this.checkUsable();
    checkModule(model);
    checkOptions('updateParameters', options, recordNames);
    checkTarget(options);
    const calls = this.#pairs(model, this.module).map((pair) =>
      pair.averaged ? this.#averaging(pair) : this.#copying(pair),
    );
    const program = remember(this.gpu, 'averaged_model.count', {}, countProgram);
    const counting = { program, operands: { steps: this.nAveraged } };
    executeAll(this.gpu, [...calls, counting], options, 'averaged_model.update');
  }

  /** The averaged model's output for x. */
  override forward(x: Tensor, options?: PassOptions): ReturnType<M['forward']> {
    this.checkUsable();
    return this.module.forward(x, options) as ReturnType<M['forward']>;
  }

  /** As {@link forward}, for a model that is {@link Module.asynchronous}. */
  async forwardAsync(x: Tensor, options: AwaitedOptions = {}): Promise<Tensor> {
    this.checkUsable();
    return forwardOf(this.module, x, options);
  }

  protected override accepts(input: Like, out?: Tensor): readonly number[] | null {
    const own = AveragedModel.prototype;
    const overridden = this.forward !== own.forward || this.forwardAsync !== own.forwardAsync;
    return overridden ? super.accepts(input) : this.module.expects(input, out);
  }

  override outputShape(shape: readonly number[]): readonly number[] {
    return this.module.outputShape(shape);
  }

  override prepare(shape: readonly number[], options?: { dtype?: FloatDType | undefined }): Promise<void> {
    return this.module.prepare(shape, options);
  }

  #averaging({ from, to }: Pair): Call {
    const d = {
      size: from.size,
      dtype: floatDType(from, 'a parameter'),
      averageDtype: floatDType(to, 'an average'),
    };
    const { gpu } = this;
    const decay = this.#decay;
    const program = remember(gpu, 'average', { d, decay }, () => averageProgram(d, decay, gpu.facts));
    return { program, operands: { param: from, average: to, steps: this.nAveraged } };
  }

  #copying({ from, to }: Pair): Call {
    const { size, dtype } = from;
    const { gpu } = this;
    const make = () => castProgram(size, dtype, to.dtype, gpu.facts);
    const program = remember(gpu, 'cast', { size, dtype, to: to.dtype }, make);
    return { program, operands: { x: from, y: to } };
  }

  /** Parameters and buffers of both, one to one. */
  #pairs(model: Module, copy: Module): Pair[] {
    const parameters = (module: Module): [string, Tensor][] =>
      module.namedParameters().map(([name, { data }]) => [name, data]);
    const pairs = [
      ...paired(parameters(model), parameters(copy)).map((pair) => ({ ...pair, averaged: true })),
      ...paired(model.namedBuffers(), copy.namedBuffers()).map((pair) => ({
        ...pair,
        averaged: this.#useBuffers && pair.from.dtype !== 'u32',
      })),
    ];
    const sources = new Set(pairs.map(({ from }) => from.buffer));
    pairs.forEach(({ name, from, to }, i) => {
      this.gpu.checkUsable(from, name);
      this.gpu.checkUsable(to, `${name} of the copy`);
      checkTensorShape(to, from.shape, `${name} of the copy`);
      if (i >= model.parameters().length) checkTensorDType(to, from.dtype, `${name} of the copy`);
      if (sources.has(to.buffer)) {
        throw new NormError(
          'aliasing',
          `${name} of the copy shares its GPUBuffer with the model.`,
          'Make the copy anew, as the model was made.',
        );
      }
    });
    return pairs;
  }
}

function paired(
  from: [string, Tensor][],
  to: [string, Tensor][],
): { name: string; from: Tensor; to: Tensor }[] {
  const names = (entries: [string, Tensor][]) => entries.map(([name]) => name).join(', ');
  if (names(from) !== names(to)) {
    throw new NormError(
      'value',
      `The model has [${names(from)}], the copy [${names(to)}].`,
      'Make both by the same code.',
    );
  }
  return from.map(([name, tensor], i) => ({ name, from: tensor, to: (to[i] as [string, Tensor])[1] }));
}
