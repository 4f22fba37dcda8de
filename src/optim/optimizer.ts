import { NormError } from '../gpu/errors.ts';
import { executeAll, type RecordOptions, recordNames } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, listOf, type OptionKind, type OptionNames } from '../gpu/options.ts';
import { proxied } from '../gpu/proxied.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { UpdateKernel } from '../kernels/optim.ts';
import { checkParameter, clearGradients, type Parameter, type ZeroGradOptions } from '../nn/parameter.ts';
import { checkTarget } from '../ops/check.ts';
import { GroupState, type GroupStep, master, type Slot } from './group-state.ts';
import {
  groupProblem,
  type OptimizerStateDict,
  overwrite,
  settingsDict,
  settingsFrom,
  stateValues,
} from './state-dict.ts';

/** What schedules keep in a parameter group, so that it is saved with the optimizer. */
export interface ScheduledSettings {
  /** The learning rate in the beginning. */
  initialLr?: number | undefined;
  /** Of OneCycleLR. */
  maxLr?: number | undefined;
  minLr?: number | undefined;
  maxMomentum?: number | undefined;
  baseMomentum?: number | undefined;
  /** Of SWALR. */
  swaLr?: number | undefined;
}

const scheduledNames = {
  initialLr: 'number',
  maxLr: 'number',
  minLr: 'number',
  maxMomentum: 'number',
  baseMomentum: 'number',
  swaLr: 'number',
} as const satisfies OptionNames<ScheduledSettings>;

/** Parameters, and settings that differ from the optimizer's own. */
export type ParamGroupOptions<Settings> = { params: Iterable<Parameter> } & ScheduledSettings & {
    [Name in keyof Settings]?: Settings[Name] | undefined;
  };

/** Parameters that are optimized with the same settings. The settings can be changed at any time. */
export type ParamGroup<Settings> = Settings & ScheduledSettings & { readonly params: readonly Parameter[] };

/** Settings that every optimizer has. */
export interface OptimizerSettings {
  /** Learning rate, ≥ 0. */
  lr: number;
  /** Climbs instead of descending. Default false. */
  maximize: boolean;
  /**
   * Keeps a copy in f32 of each parameter of f16 or bf16, as the state `master_param`, and updates that: what is too small for the last bit of
   * such a type adds up. The parameter is the copy, rounded, after each step; values that you write into it are lost then. Default
   * false, as in PyTorch: the parameter itself is updated, and rounded.
   */
  masterCopies: boolean;
}

/** @internal */
export const settingNames = { lr: 'number', maximize: 'boolean', masterCopies: 'boolean' } as const;

/**
 * What the optimizers share: parameter groups, state and its dictionary. Modelled on torch.optim.Optimizer.
 *
 * A step is recorded with the settings of that moment. It reads nothing back. What was recorded takes effect when it is
 * submitted; submit it, and in the order in which it was recorded.
 */
export abstract class Optimizer<Settings extends object> {
  readonly gpu: Gpu;
  /** The groups, in order. Their settings, such as `lr`, can be changed between steps. */
  readonly paramGroups: ParamGroup<Settings>[] = [];
  readonly #defaults: Settings;
  /** The settings and what each has to be. */
  readonly #settingNames: Readonly<Record<string, OptionKind>>;
  readonly #states: GroupState[] = [];
  #destroyed = false;

  /** @internal */
  constructor(
    params: Iterable<Parameter> | Iterable<ParamGroupOptions<Settings>>,
    defaults: Settings,
    settingNames: OptionNames<Settings>,
  ) {
    this.#settingNames = { ...settingNames, ...scheduledNames };
    this.#checkSettings(defaults);
    const given = listOf<Parameter | ParamGroupOptions<Settings>>('The parameters', params, passParameters);
    if (given.length === 0) {
      throw new NormError('value', 'The optimizer got an empty parameter list.', passParameters);
    }
    const grouped = given.every((one) => typeof one === 'object' && one !== null && 'params' in one);
    const groups = grouped ? given : [{ params: given as Parameter[] }];
    this.#defaults = defaults;
    const complete = this.#complete(groups as ParamGroupOptions<Settings>[]);
    const [parameter] = complete.flatMap(({ params }) => params);
    this.gpu = (parameter as Parameter).data.gpu;
    this.gpu.checkAlive();
    for (const group of complete) this.#append(group);
  }

  /** The name in labels. */
  protected abstract readonly name: string;

  /** @internal Throws `value` unless the settings, which are of the right kinds, are usable. */
  protected abstract check(settings: Settings): void;

  /** @internal PyTorch's names of all state that there can be. */
  protected abstract readonly stateNames: readonly string[];

  /** @internal Those of them that these settings need. */
  protected abstract needs(settings: Settings): readonly string[];

  /** @internal What the kernel has of the settings, in the order in which it has it. */
  protected abstract numbers(settings: Settings): readonly number[];

  /** @internal What one step does to a parameter. */
  protected abstract kernel(settings: Settings): UpdateKernel;

  /** @internal Whether steps are counted on the GPU. */
  protected counted(settings: Settings): boolean {
    return this.needs(settings).includes('step');
  }

  /**
   * Adds a group, as torch.optim.Optimizer.add_param_group.
   *
   * @throws NormError `value` for settings out of range, a group without parameters, a parameter that is there already;
   * `wrong-device`.
   */
  addParamGroup(group: ParamGroupOptions<Settings>): void {
    this.checkUsable();
    for (const complete of this.#complete([group])) this.#append(complete);
  }

  /**
   * One step: every parameter that has and requires a gradient moves. The others, and their state, stay as they are.
   *
   * @throws NormError `value` for settings out of range, `destroyed`, `wrong-device`, `device-lost`, `limit`. Nothing has
   * changed then.
   */
  step(options: RecordOptions = {}): void {
    checkOptions('step', options, recordNames);
    this.stepUnless(undefined, options);
  }

  /** @internal A step that the GPU skips if `skip`, u32 [1], is 1 when the step runs. */
  stepUnless(skip: Tensor | undefined, options: RecordOptions): void {
    checkTarget(options);
    const active = this.checkStep();
    const needed = active.flatMap((slots, i) => {
      const group = this.paramGroups[i] as ParamGroup<Settings>;
      return slots.flatMap((slot) => this.#needed(slot, group).map((name) => [i, slot, name] as const));
    });
    this.#withState(needed, () => {
      const recordings = active.flatMap((slots, i) => {
        if (slots.length === 0) return [];
        const group = this.paramGroups[i] as ParamGroup<Settings>;
        return [(this.#states[i] as GroupState).record(slots, this.#step(group, skip), options)];
      });
      const calls = recordings.flatMap((one) => one.calls);
      if (calls.length === 0) return;
      const before = recordings.flatMap((one) => one.before);
      const after = recordings.flatMap((one) => one.after);
      executeAll(this.gpu, calls, options, `${this.name}.step`, { before, after });
    });
    for (const [, { started }, name] of needed) started.add(name);
  }

  /** @internal Throws unless a step can be made now. Returns what it would move, by group. */
  checkStep(): readonly (readonly Slot[])[] {
    this.checkUsable();
    for (const { params: _, ...settings } of this.paramGroups) {
      this.#checkSettings(settings as unknown as Settings);
    }
    const active = this.#states.map(({ slots }) => slots.filter(moves));
    for (const { parameter } of active.flat()) {
      this.gpu.checkUsable(parameter.data, 'a parameter');
      this.gpu.checkUsable(parameter.grad as Tensor, 'a gradient');
    }
    return active;
  }

  /** Forgets the gradients of all parameters, as {@link Parameter.zeroGrad}. */
  zeroGrad(options: ZeroGradOptions = {}): void {
    const parameters = this.paramGroups.flatMap(({ params }) => params);
    clearGradients(this.gpu, parameters, options);
  }

  /**
   * The state and the settings in PyTorch's layout and with its names. The tensors are the optimizer's own, which later
   * steps change: read them to keep what they hold now.
   */
  stateDict(): OptimizerStateDict<Tensor> {
    this.checkUsable();
    const dict: OptimizerStateDict<Tensor> = { state: {}, param_groups: [] };
    this.#slots().forEach((slot, index) => {
      const entries = [...slot.state].filter(([name]) => slot.started.has(name));
      if (entries.length > 0) dict.state[index] = Object.fromEntries(entries);
    });
    let first = 0;
    for (const { params, ...settings } of this.paramGroups) {
      const indices = params.map((_, index) => first + index);
      first += params.length;
      dict.param_groups.push({ ...settingsDict(settings), params: indices });
    }
    return dict;
  }

  /**
   * Takes over the state and the settings of a dictionary, whose groups must have as many parameters as the ones here.
   * Its tensors are copied, converted to f32 where they are not. Parameters without an entry start afresh. Settings that
   * this optimizer does not have are ignored, those that are missing stay. At once: commands that are recorded but not
   * yet submitted come after it.
   *
   * @throws NormError `state` with all that does not fit: numbers of groups and parameters, names, shapes, dtypes;
   * `value` for settings out of range; `destroyed`, `wrong-device`. Nothing has changed then.
   */
  loadStateDict(dict: OptimizerStateDict): void {
    this.checkUsable();
    const { paramGroups } = this;
    const lengths = paramGroups.map(({ params }) => params.length);
    const problem = groupProblem(dict, lengths);
    if (problem) throw misfit([problem]);
    const settings = paramGroups.map(({ params: _, ...own }, i) => {
      const group = dict.param_groups[i] as Record<string, unknown>;
      const loaded = settingsFrom(group, own, Object.keys(this.#settingNames)) as Settings;
      this.#checkSettings(loaded);
      return loaded;
    });
    const indices = dict.param_groups.flatMap(({ params }) => params);
    const problems: string[] = [];
    const slots = this.#states.flatMap((state, i) => state.slots.map((slot) => [i, slot] as const));
    const values = slots.map(([i, slot], at) => {
      const index = indices[at] as number;
      const required = this.needs(settings[i] as Settings);
      const allowed = { known: [...this.stateNames, master], required };
      const shapeOf = (name: string) => (name === 'step' ? [] : slot.parameter.data.shape);
      return stateValues(this.gpu, dict.state[index] ?? {}, index, allowed, shapeOf, slot.state, problems);
    });
    if (problems.length > 0) throw misfit(problems);
    const needed = slots.flatMap(([i, slot], at) =>
      [...(values[at]?.keys() ?? [])].map((name) => [i, slot, name] as const),
    );
    this.#withState(needed, () => {
      slots.forEach(([, { state }], at) => {
        for (const [name, tensor] of state) {
          const value = values[at]?.get(name);
          if (value) overwrite(tensor, value);
          else tensor.write(new Float32Array(tensor.size));
        }
      });
    });
    for (const [i, group] of paramGroups.entries()) Object.assign(group, settings[i]);
    slots.forEach(([i, slot], at) => {
      slot.started.clear();
      for (const name of values[at]?.keys() ?? []) slot.started.add(name);
      if (!slot.started.has('step')) this.#states[i]?.recount(slot, Number(slot.started.size > 0));
    });
  }

  /** Frees the state. The parameters are not the optimizer's. Idempotent. */
  destroy(): void {
    if (!(#states in this)) throw proxied('Optimizer');
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const state of this.#states) state.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** @internal Vue leaves it as it is. */
  get __v_skip(): boolean {
    return true;
  }

  /** @internal Throws unless it can be used. */
  checkUsable(): void {
    if (!(#states in this)) throw proxied('Optimizer');
    this.gpu.checkAlive();
    if (this.#destroyed) {
      throw new NormError('destroyed', 'This optimizer was destroyed.', 'Make a new one.');
    }
  }

  #slots(): Slot[] {
    return this.#states.flatMap(({ slots }) => slots);
  }

  #step(group: ParamGroup<Settings>, skip: Tensor | undefined): GroupStep {
    return {
      name: this.name,
      kernel: this.kernel(group),
      numbers: this.numbers(group),
      masters: (group as Partial<OptimizerSettings>).masterCopies === true,
      counted: this.counted(group),
      skip,
    };
  }

  /** The state that a parameter needs. */
  #needed({ parameter }: Slot, group: ParamGroup<Settings>): readonly string[] {
    const { masterCopies } = group as Partial<OptimizerSettings>;
    const names = this.needs(group);
    return masterCopies && parameter.data.dtype !== 'f32' ? [...names, master] : names;
  }

  /** The groups with all settings; throws before anything is changed. */
  #complete(groups: readonly ParamGroupOptions<Settings>[]): ParamGroup<Settings>[] {
    const seen = new Set(this.#slots().map(({ parameter }) => parameter));
    let device = this.#slots()[0]?.parameter.data.gpu.device;
    return groups.map((one) => {
      checkOptions('A parameter group', one, { ...this.#settingNames, params: 'other' });
      const { params: given, ...settings } = one;
      const params = listOf<Parameter>('The parameters', given, passParameters);
      if (params.length === 0) {
        throw new NormError('value', 'A parameter group has no parameters.', 'Leave it out.');
      }
      for (const parameter of params) {
        checkParameter(parameter, `${passParameters} A tensor becomes one by new Parameter(tensor).`);
        if (seen.has(parameter)) {
          throw new NormError(
            'value',
            'A parameter appears twice in the groups of an optimizer.',
            'Give each parameter to one group, once.',
          );
        }
        seen.add(parameter);
        device ??= parameter.data.gpu.device;
        if (parameter.data.gpu.device !== device) {
          throw new NormError(
            'wrong-device',
            'The parameters are on several devices.',
            'Make an optimizer for each.',
          );
        }
      }
      const own = Object.entries(settings).filter(([, value]) => value !== undefined);
      const all = { ...this.#defaults, ...Object.fromEntries(own) };
      this.#checkSettings(all);
      return { ...all, params };
    });
  }

  /** Throws `value` unless the settings are usable. */
  #checkSettings(settings: Settings): void {
    checkOptions(this.constructor.name, settings, this.#settingNames);
    this.check(settings);
  }

  #append(group: ParamGroup<Settings>): void {
    this.paramGroups.push(group);
    this.#states.push(new GroupState(this.gpu, group.params));
  }

  /** Makes the state that is needed and not there yet, for what `use` does with it. If either fails, what was made goes. */
  #withState(needed: readonly (readonly [group: number, Slot, name: string])[], use: () => void): void {
    const made: (() => void)[] = [];
    try {
      for (const [i, slot, name] of needed) made.push((this.#states[i] as GroupState).require(slot, name));
      use();
    } catch (error) {
      for (const undo of made) undo();
      throw error;
    }
  }
}

/** Whether a step changes the parameter. */
const moves = ({ parameter: { grad, requiresGrad } }: Slot): boolean => grad !== null && requiresGrad;

const passParameters = 'Pass model.parameters().';

const misfit = (problems: readonly string[]): NormError =>
  new NormError(
    'state',
    `The state dictionary does not fit this optimizer:\n  ${problems.join('\n  ')}\n`,
    'Load what an optimizer of the same kind and settings, over parameters of the same shapes, returned.',
  );
