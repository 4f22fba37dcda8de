import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Module } from './module.ts';

/**
 * torch.nn.ModuleList: modules that belong to a module of your own, named '0', '1', …, so that state dicts, optimizers and
 * conversions find them. It has no forward: call its modules. destroy() destroys them.
 *
 * @example
 * ```ts
 * const norms = block.registerModule('norms', new ModuleList(gpu, [new LayerNorm(gpu, 8), new LayerNorm(gpu, 8)]));
 * norms.at(0)?.forward(x);
 * ```
 */
export class ModuleList<T extends Module = Module> extends Module {
  /** @throws NormError `value` unless these are modules in a list; as {@link Module.registerModule}. */
  constructor(gpu: Gpu, modules: Iterable<T> = []) {
    super(gpu);
    this.extend(modules);
  }

  /** Number of modules. */
  get length(): number {
    return this.registeredModules().length;
  }

  /** The module at a position; negative ones count from the end. undefined where there is none. */
  at(index: number): T | undefined {
    return this.registeredModules().at(index) as T | undefined;
  }

  /**
   * Puts a module in the place of the one at a position, which is yours again.
   *
   * @throws NormError `value` where there is none; as {@link Module.registerModule}.
   */
  set(index: number, module: T): this {
    const modules = [...this];
    modules[this.#position(index)] = module;
    return this.#rename(modules);
  }

  /** Adds a module at the end. */
  append(module: T): this {
    return this.extend([module]);
  }

  /** Adds modules at the end: all, or none where one is refused. */
  extend(modules: Iterable<T>): this {
    if (typeof modules?.[Symbol.iterator] !== 'function') throw noModules('[module, module]');
    return this.#rename([...this, ...modules]);
  }

  /**
   * Puts a module before the one at a position. Negative ones count from the end, and beyond an end is that end, as in a list
   * of Python.
   *
   * @throws NormError `value` unless the position is an integer; as {@link Module.registerModule}.
   */
  insert(index: number, module: T): this {
    if (!Number.isInteger(index))
      throw new NormError('value', `The position is ${index}.`, 'Use an integer.');
    const modules = [...this];
    modules.splice(index, 0, module);
    return this.#rename(modules);
  }

  /**
   * Takes out the module at a position, by default the last; it is yours again.
   *
   * @throws NormError `value` where there is none.
   */
  pop(index = -1): T {
    const position = this.#position(index);
    const modules = [...this];
    const [module] = modules.splice(position, 1);
    this.#rename(modules);
    return module as T;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.registeredModules()[Symbol.iterator]() as Iterator<T>;
  }

  #position(index: number): number {
    const position = index < 0 ? index + this.length : index;
    if (Number.isInteger(position) && position >= 0 && position < this.length) return position;
    throw new NormError('value', `There is no module ${index} of ${this.length}.`, 'See length.');
  }

  /** Numbers these from 0. */
  #rename(modules: readonly T[]): this {
    const names = this.registry.modules;
    const before = [...names];
    names.clear();
    try {
      for (const [i, module] of modules.entries()) this.registerModule(String(i), checked(module, String(i)));
    } catch (error) {
      names.clear();
      for (const [name, module] of before) names.set(name, module);
      throw error;
    }
    return this;
  }
}

/**
 * torch.nn.ModuleDict: modules by name that belong to a module of your own, in order of insertion; otherwise as
 * {@link ModuleList}.
 *
 * @example
 * ```ts
 * const norms = new ModuleDict(gpu, { text: new LayerNorm(gpu, 8), image: new BatchNorm2d(gpu, 3) });
 * norms.get('text')?.forward(x);
 * ```
 */
export class ModuleDict<T extends Module = Module> extends Module {
  /**
   * @param modules - an object, or a list of [name, module] (a Map will do).
   * @throws NormError `value` unless these are modules by name; as {@link Module.registerModule}.
   */
  constructor(gpu: Gpu, modules: Iterable<readonly [string, T]> | Readonly<Record<string, T>> = {}) {
    super(gpu);
    if (modules === null || typeof modules !== 'object') throw noModules('{ name: module }');
    const entries = Symbol.iterator in modules ? [...modules] : Object.entries(modules);
    for (const entry of entries) {
      if (!Array.isArray(entry)) throw noModules('{ name: module }');
      this.set(entry[0], entry[1]);
    }
  }

  /** Number of modules. */
  get size(): number {
    return this.registeredModules().length;
  }

  /** The module of that name; undefined where there is none. */
  get(name: string): T | undefined {
    return (this.registry.modules.get(name) ?? undefined) as T | undefined;
  }

  /** Whether there is a module of that name. */
  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /**
   * Adds a module, or puts it in the place of the one of that name, which is yours again.
   *
   * @throws NormError as {@link Module.registerModule}.
   */
  set(name: string, module: T): this {
    this.registerModule(name, checked(module, name));
    return this;
  }

  /** Takes a module out, which is yours again; says whether there was one. */
  delete(name: string): boolean {
    return this.registry.modules.delete(name);
  }

  /** The names. */
  keys(): IterableIterator<string> {
    return this.registry.modules.keys();
  }

  /** The modules. */
  values(): IterableIterator<T> {
    return this.registeredModules().values() as IterableIterator<T>;
  }

  [Symbol.iterator](): Iterator<[string, T]> {
    return (this.registry.modules as Map<string, T>)[Symbol.iterator]();
  }
}

/** Neither has places without a module. */
function checked<T extends Module>(module: T, name: string): T {
  if (module instanceof Module) return module;
  throw new NormError('value', `${name} is no Module.`, 'Pass a module.');
}

const noModules = (example: string): NormError =>
  new NormError('value', 'These are no modules.', `Pass ${example}.`);
