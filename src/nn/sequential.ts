import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { floatDType } from '../ops/check.ts';
import { Module, type PassOptions } from './module.ts';
import { Reusable } from './reusable.ts';

/**
 * torch.nn.Sequential: modules one after another, named '0', '1', … or as you say.
 *
 * What passes between them is the Sequential's own: it gives every module but the last a tensor to write to
 * (`options.out`), of the shape that {@link Module.outputShape} says, and uses it again at the next pass. So nothing has
 * to be freed, and commands that are recorded but not yet submitted stay valid. A module that returns another tensor
 * all the same owns that. destroy() frees what passes between, and the modules.
 */
export class Sequential extends Module {
  /** By position: the output of each module but the last. */
  readonly #outputs: Reusable[] = [];
  /** Gradients between modules: one is read while the other is written. */
  readonly #gradients: [Reusable, Reusable];
  /** Shapes and dtype of what each module got in the last forward. */
  #inputs: { shape: readonly number[]; dtype: FloatDType }[] | null = null;

  /**
   * @param modules - the modules, or one list of [name, module] (a Map will do).
   * @throws NormError as {@link Module.registerModule}.
   */
  constructor(gpu: Gpu, ...modules: Module[] | [Iterable<readonly [string, Module]>]) {
    super(gpu);
    this.#gradients = [new Reusable(gpu), new Reusable(gpu)];
    const [first] = modules;
    const named = first && !(first instanceof Module) ? [...first] : numbered(modules as Module[]);
    for (const [name, module] of named) this.registerModule(name, module);
  }

  /** Number of modules. */
  get length(): number {
    return this.registeredModules().length;
  }

  /** The module at a position; negative ones count from the end. */
  at(index: number): Module | undefined {
    return this.registeredModules().at(index);
  }

  [Symbol.iterator](): Iterator<Module> {
    return this.registeredModules()[Symbol.iterator]();
  }

  /**
   * The last module's output for the one before's, and so on, for x. x itself if there are no modules.
   *
   * @throws NormError as the modules.
   */
  override forward(x: Tensor, { out, ...target }: PassOptions = {}): Tensor {
    this.checkUsable();
    this.gpu.checkUsable(x, 'x');
    const modules = this.registeredModules();
    const inputs: { shape: readonly number[]; dtype: FloatDType }[] = [];
    this.#inputs = null;
    let current = x;
    modules.forEach((module, i) => {
      const dtype = floatDType(current, 'x');
      inputs.push({ shape: current.shape, dtype });
      const last = i === modules.length - 1;
      const made = last ? out : this.#output(i).take(module.outputShape(current.shape), dtype);
      current = module.forward(current, { ...target, out: made });
    });
    this.#inputs = inputs;
    return current;
  }

  /**
   * Backward of the last forward, from the last module to the first.
   *
   * @throws NormError `order` before forward; `unsupported` if a module is here twice: it keeps what one forward needs; as
   * the modules.
   */
  override backward(dy: Tensor, { out, ...target }: PassOptions = {}): Tensor {
    this.checkUsable();
    const modules = this.registeredModules();
    const inputs = this.#inputs;
    if (inputs?.length !== modules.length) {
      throw new NormError('order', 'backward() was called before forward().', 'Call forward() first.');
    }
    if (new Set(modules).size < modules.length) {
      throw new NormError(
        'unsupported',
        'A module that is in a Sequential twice cannot go backward: it keeps what one forward needs.',
        'Make two modules that share their parameters.',
      );
    }
    let current = dy;
    for (let i = modules.length - 1; i >= 0; i--) {
      const { shape, dtype } = inputs[i] as { shape: readonly number[]; dtype: FloatDType };
      const gradients = this.#gradients[i % 2] as Reusable;
      const made = i === 0 ? out : gradients.take(shape, dtype);
      current = (modules[i] as Module).backward(current, { ...target, out: made });
    }
    return current;
  }

  override outputShape(shape: readonly number[]): readonly number[] {
    return this.registeredModules().reduce((current, module) => module.outputShape(current), shape);
  }

  override async prepare(
    shape: readonly number[],
    options: { dtype?: FloatDType | undefined } = {},
  ): Promise<void> {
    this.checkUsable();
    const preparing: Promise<void>[] = [];
    let current = shape;
    for (const module of this.registeredModules()) {
      preparing.push(module.prepare(current, options));
      current = module.outputShape(current);
    }
    await Promise.all(preparing);
  }

  override destroy(): void {
    for (const reusable of [...this.#outputs, ...this.#gradients]) reusable.destroy();
    this.#inputs = null;
    super.destroy();
  }

  #output(position: number): Reusable {
    this.#outputs[position] ??= new Reusable(this.gpu);
    return this.#outputs[position];
  }
}

const numbered = (modules: readonly Module[]): [string, Module][] =>
  modules.map((module, i) => [String(i), module]);
