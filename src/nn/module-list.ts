import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkKind, listOf } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import { checkModule, Module } from './module.ts';

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
    checkKind('at', 'index', index, 'number');
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
    return this.#rename([...this, ...listOf('The modules', modules)]);
  }

  /**
   * Puts a module before the one at a position. Negative ones count from the end, and beyond an end is that end, as in a list
   * of Python.
   *
   * @throws NormError `value` unless the position is an integer; as {@link Module.registerModule}.
   */
  insert(index: number, module: T): this {
    if (!Number.isInteger(index)) {
      throw new NormError('value', `The position is ${shown(index)}.`, 'Use an integer.');
    }
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
    if (Number.isInteger(index) && index >= -this.length && index < this.length) {
      return index < 0 ? index + this.length : index;
    }
    throw new NormError(
      'value',
      `There is no module ${shown(index)} in a list of ${this.length}.`,
      'Use a position in the list, or a negative one that counts from its end.',
    );
  }

  /** Numbers these from 0. */
  #rename(modules: readonly T[]): this {
    const names = this.registry.modules;
    const before = [...names];
    names.clear();
    try {
      for (const [i, module] of modules.entries()) {
        checkModule(module, `Module ${i}`);
        this.registerModule(String(i), module);
      }
    } catch (error) {
      names.clear();
      for (const [name, module] of before) names.set(name, module);
      throw error;
    }
    return this;
  }
}

const byName = 'Pass { name: module }, or a list of [name, module].';

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
    const named = typeof modules === 'object' && modules !== null && !(Symbol.iterator in modules);
    const entries = named ? Object.entries(modules) : listOf('The modules', modules, byName);
    for (const entry of entries) {
      if (!Array.isArray(entry)) {
        throw new NormError('value', `${shown(entry)} is no pair of a name and a module.`, byName);
      }
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
    checkModule(module, shown(name));
    this.registerModule(name, module);
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
