import { NormError } from '../gpu/errors.ts';
import { type Call, executeAll, type RecordOptions, recordNames } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, listOf, type OptionKind, type OptionNames } from '../gpu/options.ts';
import { proxied } from '../gpu/proxied.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { checkParameter, clearGradients, type Parameter, type ZeroGradOptions } from '../nn/parameter.ts';
import { checkTarget } from '../ops/check.ts';
import { GroupSettings } from './group-settings.ts';
import {
  groupProblem,
  type OptimizerStateDict,
  overwrite,
  settingsDict,
  settingsFrom,
  stateValues,
} from './state-dict.ts';

/** Parameters, and settings that differ from the optimizer's own. */
export type ParamGroupOptions<Settings> = { params: Iterable<Parameter> } & {
  [Name in keyof Settings]?: Settings[Name] | undefined;
};

/** Parameters that are optimized with the same settings. The settings can be changed at any time. */
export type ParamGroup<Settings> = Settings & { readonly params: readonly Parameter[] };

/** What an optimizer keeps of one parameter. */
export interface Slot<Settings> {
  readonly parameter: Parameter;
  readonly group: ParamGroup<Settings>;
  /** Its place in the group. */
  readonly index: number;
  /** The tensors that were made, by PyTorch's names. */
  readonly state: Map<string, Tensor>;
  /** Those that a step has written or that were loaded; the others are zeros. */
  readonly started: Set<string>;
}

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
  readonly #slots: Slot<Settings>[] = [];
  /** The numbers of each group on the GPU, from the first step on in which one of its parameters moves. */
  readonly #groupSettings = new Map<ParamGroup<Settings>, GroupSettings>();
  #destroyed = false;

  /** @internal */
  constructor(
    params: Iterable<Parameter> | Iterable<ParamGroupOptions<Settings>>,
    defaults: Settings,
    settingNames: OptionNames<Settings>,
  ) {
    this.#settingNames = settingNames;
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

  /**
   * @internal The programs of one step. All that is needed is there.
   *
   * @param settings - the {@link numbers} of each group, on the GPU. They are no part of a program, so that it is the same
   * in every step, however they change.
   */
  protected abstract calls(
    slots: readonly Slot<Settings>[],
    settings: ReadonlyMap<ParamGroup<Settings>, Tensor>,
  ): Call[];

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
    this.checkUsable();
    checkOptions('step', options, recordNames);
    checkTarget(options);
    for (const { params: _, ...settings } of this.paramGroups) this.#checkSettings(settings as Settings);
    const active = this.#slots.filter(
      ({ parameter: { grad, requiresGrad } }) => grad !== null && requiresGrad,
    );
    for (const { parameter } of active) {
      this.gpu.checkUsable(parameter.data, 'a parameter');
      this.gpu.checkUsable(parameter.grad as Tensor, 'a gradient');
    }
    const needed = active.flatMap((slot) => this.needs(slot.group).map((name) => [slot, name] as const));
    this.#withState(needed, () => {
      const groups = [...new Set(active.map(({ group }) => group))];
      const taken = groups.map((group) => [group, this.#settingsOn(group, options)] as const);
      const settings = new Map(taken.map(([group, { tensor }]) => [group, tensor]));
      const calls = [...taken.flatMap(([, { before }]) => before), ...this.calls(active, settings)];
      if (calls.length > 0) executeAll(this.gpu, calls, options, `${this.name}.step`);
    });
    for (const [{ started }, name] of needed) started.add(name);
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
    this.#slots.forEach((slot, index) => {
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
      const loaded = settingsFrom(group, own) as unknown as Settings;
      this.#checkSettings(loaded);
      return loaded;
    });
    const indices = dict.param_groups.flatMap(({ params }) => params);
    const problems: string[] = [];
    const states = this.#slots.map(({ parameter, group, state }, i) => {
      const index = indices[i] as number;
      const required = this.needs(settings[paramGroups.indexOf(group)] as Settings);
      const allowed = { known: this.stateNames, required };
      const shapeOf = (name: string) => (name === 'step' ? [] : parameter.data.shape);
      return stateValues(this.gpu, dict.state[index] ?? {}, index, allowed, shapeOf, state, problems);
    });
    if (problems.length > 0) throw misfit(problems);
    const needed = this.#slots.flatMap((slot, i) =>
      [...(states[i]?.keys() ?? [])].map((name) => [slot, name] as const),
    );
    this.#withState(needed, () => {
      this.#slots.forEach(({ state }, i) => {
        for (const [name, tensor] of state) {
          const value = states[i]?.get(name);
          if (value) overwrite(tensor, value);
          else tensor.write(new Float32Array(tensor.size));
        }
      });
    });
    for (const [i, group] of paramGroups.entries()) Object.assign(group, settings[i]);
    this.#slots.forEach(({ started }, i) => {
      started.clear();
      for (const name of states[i]?.keys() ?? []) started.add(name);
    });
  }

  /** Frees the state. The parameters are not the optimizer's. Idempotent. */
  destroy(): void {
    if (!(#slots in this)) throw proxied('Optimizer');
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const { state } of this.#slots) for (const tensor of state.values()) tensor.destroy();
    for (const settings of this.#groupSettings.values()) settings.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** @internal Vue leaves it as it is. */
  get __v_skip(): boolean {
    return true;
  }

  /** @internal Throws unless it can be used. */
  protected checkUsable(): void {
    if (!(#slots in this)) throw proxied('Optimizer');
    this.gpu.checkAlive();
    if (this.#destroyed) {
      throw new NormError('destroyed', 'This optimizer was destroyed.', 'Make a new one.');
    }
  }

  /** @internal Makes a state, of zeros. */
  protected makeState({ parameter }: Slot<Settings>, _: string): Tensor {
    return this.gpu.keep(this.gpu.zeros(parameter.data.shape));
  }

  /** The numbers of a group, for what is recorded next. */
  #settingsOn(group: ParamGroup<Settings>, target: RecordOptions): { tensor: Tensor; before: Call[] } {
    let settings = this.#groupSettings.get(group);
    if (!settings) {
      settings = new GroupSettings(this.gpu);
      this.#groupSettings.set(group, settings);
    }
    return settings.take(this.numbers(group), target);
  }

  /** The groups with all settings; throws before anything is changed. */
  #complete(groups: readonly ParamGroupOptions<Settings>[]): ParamGroup<Settings>[] {
    const seen = new Set(this.#slots.map(({ parameter }) => parameter));
    let device = this.#slots[0]?.parameter.data.gpu.device;
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
    group.params.forEach((parameter, index) => {
      this.#slots.push({ parameter, group, index, state: new Map(), started: new Set() });
    });
  }

  /** Makes the state that is needed and not there yet, for what `use` does with it. If either fails, what was made goes. */
  #withState(needed: readonly (readonly [Slot<Settings>, string])[], use: () => void): void {
    const made: [Slot<Settings>, string][] = [];
    try {
      for (const [slot, name] of needed) {
        if (slot.state.has(name)) continue;
        slot.state.set(name, this.makeState(slot, name));
        made.push([slot, name]);
      }
      use();
    } catch (error) {
      for (const [{ state }, name] of made) {
        state.get(name)?.destroy();
        state.delete(name);
      }
      throw error;
    }
  }
}

const passParameters = 'Pass model.parameters().';

const misfit = (problems: readonly string[]): NormError =>
  new NormError(
    'state',
    `The state dictionary does not fit this optimizer:\n  ${problems.join('\n  ')}\n`,
    'Load what an optimizer of the same kind and settings, over parameters of the same shapes, returned.',
  );
