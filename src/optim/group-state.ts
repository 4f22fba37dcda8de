// What an optimizer keeps of a parameter group on the GPU, and the dispatches of a step of it.
import type { Call, Copy, RecordOptions } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { castProgram } from '../kernels/cast.ts';
import { countStepsProgram, countStride, type UpdateKernel, updateProgram } from '../kernels/optim.ts';
import type { Parameter } from '../nn/parameter.ts';
import { floatDType } from '../ops/check.ts';
import { remember } from '../ops/programs.ts';
import { GroupSettings } from './group-settings.ts';
import { copyable, fewest, NumberLists, Pack, packingsOf } from './packing.ts';

/** What an optimizer keeps of one parameter. */
export interface Slot {
  readonly parameter: Parameter;
  /** Its place in the group. */
  readonly index: number;
  /** The tensors that were made, by PyTorch's names. */
  readonly state: Map<string, Tensor>;
  /** Those that a step has written or that were loaded; the others are zeros. */
  readonly started: Set<string>;
}

/** A step of a group, in numbers. */
export interface GroupStep {
  /** The optimizer's name, in labels. */
  name: string;
  kernel: UpdateKernel;
  /** What the kernel has of the settings, in its order, without the word that says to skip. */
  numbers: readonly number[];
  /** Whether parameters of f16 and bf16 have f32 copies. */
  masters: boolean;
  /** Whether the kernel needs the number of the step, or PyTorch's state has it. */
  counted: boolean;
  /** u32 [1], if the GPU is to decide whether the step is skipped: 1 skips it. */
  skip?: Tensor | undefined;
}

/** What is to be recorded. */
export interface Recording {
  calls: Call[];
  before: Copy[];
  after: Copy[];
}

/** The name of the f32 copy of a parameter of f16 or bf16. */
export const master = 'master_param';

/**
 * The state of a group. That of small parameters is packed (packing.ts): a step copies their values and gradients into packed tensors, updates
 * all in one dispatch, and copies the values back. Where there are few of them, or in an open compute pass, which cannot copy,
 * each has a dispatch, like the large ones.
 */
export class GroupState {
  readonly slots: readonly Slot[];
  readonly #gpu: Gpu;
  readonly #settings: GroupSettings;
  readonly #packs: readonly Pack[];
  /** The pack of a slot and its number in there; large ones have none. */
  readonly #homes = new Map<Slot, { pack: Pack; member: number }>();
  readonly #active: NumberLists;
  #counts: Tensor | undefined;
  #countOf: Tensor[] = [];

  constructor(gpu: Gpu, params: readonly Parameter[]) {
    this.#gpu = gpu;
    this.#settings = new GroupSettings(gpu);
    this.#active = new NumberLists(gpu);
    this.slots = params.map((parameter, index) => ({
      parameter,
      index,
      state: new Map<string, Tensor>(),
      started: new Set<string>(),
    }));
    const packings = packingsOf(
      params.map(({ data }) => data),
      gpu.facts,
    );
    this.#packs = packings.map((packing) => new Pack(gpu, packing));
    for (const pack of this.#packs) {
      pack.packing.members.forEach((index, member) => {
        this.#homes.set(this.slots[index] as Slot, { pack, member });
      });
    }
  }

  /** Makes a state, of zeros, unless it is there. Returns what takes it back. */
  require(slot: Slot, name: string): () => void {
    if (slot.state.has(name)) return () => {};
    if (name === 'step') {
      slot.state.set(name, this.#count(slot));
      return () => slot.state.delete(name);
    }
    const home = this.#homes.get(slot);
    if (!home) {
      const tensor = this.#gpu.keep(this.#gpu.zeros(slot.parameter.data.shape));
      slot.state.set(name, tensor);
      return () => {
        tensor.destroy();
        slot.state.delete(name);
      };
    }
    const { pack } = home;
    const slots = pack.packing.members.map((index) => this.slots[index] as Slot);
    const { parts } = pack.take(name, 'f32');
    slots.forEach((one, i) => {
      one.state.set(name, parts[i] as Tensor);
    });
    return () => {
      pack.drop(name);
      for (const one of slots) one.state.delete(name);
    };
  }

  /** How many steps a parameter has had, u32 []. */
  #count(slot: Slot): Tensor {
    if (!this.#counts) {
      const stride = countStride(this.#gpu.facts);
      // What a state that was loaded or written belongs to has had steps, even where nobody counted them.
      const had = this.slots.map(({ started }) => Number(started.size > 0));
      const words = had.flatMap((count) => [count, ...Array<number>(stride - 1).fill(0)]);
      const counts = this.#gpu.keep(this.#gpu.tensor(words, [words.length], { dtype: 'u32' }));
      this.#countOf = had.map((_, i) => counts.view([], i * stride));
      this.#counts = counts;
    }
    return this.#countOf[slot.index] as Tensor;
  }

  /** Sets the count of a parameter that no state of PyTorch's has, if there are counts. */
  recount(slot: Slot, count: number): void {
    if (this.#counts) this.#countOf[slot.index]?.write([count]);
  }

  /** A step of those that are active. All state that it needs is there. */
  record(active: readonly Slot[], step: GroupStep, target: RecordOptions): Recording {
    const { tensor: settings, calls, copies } = this.#settings.take(step.numbers, target, step.skip);
    const recording: Recording = { calls, before: copies, after: [] };
    for (const slot of active) if (step.masters) this.#startMaster(slot, recording);
    if (step.counted) calls.push(this.#counting(active, settings));
    const packed = new Map<Pack, number[]>();
    const alone = new Set(active);
    if (!target.pass) {
      for (const slot of active) {
        const home = this.#homes.get(slot);
        if (!home || !packable(slot, home.pack)) continue;
        const members = packed.get(home.pack) ?? [];
        packed.set(home.pack, members);
        members.push(home.member);
      }
    }
    for (const [pack, members] of packed) {
      if (members.length < fewest) continue;
      const slots = members.map((member) => this.slots[pack.packing.members[member] as number] as Slot);
      this.#packed(pack, members, slots, step, settings, recording);
      for (const slot of slots) alone.delete(slot);
    }
    for (const slot of alone) calls.push(...this.#single(slot, step, settings));
    return recording;
  }

  destroy(): void {
    this.#settings.destroy();
    for (const { state } of this.slots) for (const tensor of state.values()) tensor.destroy();
    for (const pack of this.#packs) pack.destroy();
    this.#active.destroy();
    this.#counts?.destroy();
  }

  #counting(active: readonly Slot[], settings: Tensor): Call {
    const { facts } = this.#gpu;
    const { length } = active;
    const indices = active.map(({ index }) => index);
    const slots = this.#active.take(indices, () => indices);
    for (const slot of active) this.#count(slot);
    const program = remember(this.#gpu, 'count_steps', { length }, () => countStepsProgram(length, facts));
    return { program, operands: { slots, steps: this.#counts, settings } };
  }

  #single(slot: Slot, step: GroupStep, settings: Tensor): Call[] {
    const { data, grad } = slot.parameter;
    const copy = step.masters && data.dtype !== 'f32' ? slot.state.get(master) : undefined;
    const param = copy ?? data;
    const program = this.#program(step, param, grad as Tensor, 0);
    const state = operandsOf(step, (name) => slot.state.get(name));
    const steps = step.counted ? this.#count(slot) : undefined;
    const operands = { param, grad: grad as Tensor, ...state, steps, settings };
    return [{ program, operands }, ...(copy ? [this.#casting(copy, data)] : [])];
  }

  #packed(
    pack: Pack,
    members: readonly number[],
    slots: readonly Slot[],
    step: GroupStep,
    settings: Tensor,
    { calls, before, after }: Recording,
  ): void {
    const { dtype } = pack.packing;
    const params = pack.take('param', dtype);
    const grads = pack.take('grad', dtype);
    const copies = step.masters && dtype !== 'f32' ? pack.take(master, 'f32') : undefined;
    const param = (copies ?? params).whole;
    const places = pack.places(members);
    const program = this.#program(step, param, grads.whole, places.size / 3);
    const state = operandsOf(step, (name) => pack.take(name, 'f32').whole);
    const steps = step.counted ? this.#counts : undefined;
    const operands = { param, grad: grads.whole, ...state, steps, settings, places };
    calls.push({ program, operands });
    if (copies) calls.push(this.#casting(copies.whole, params.whole));
    slots.forEach(({ parameter: { data, grad } }, i) => {
      const member = members[i] as number;
      const packedParam = params.parts[member] as Tensor;
      before.push({ from: grad as Tensor, to: grads.parts[member] as Tensor });
      if (!copies) before.push({ from: data, to: packedParam });
      after.push({ from: packedParam, to: data });
    });
  }

  #program({ name, kernel }: GroupStep, param: Tensor, grad: Tensor, places: number) {
    const d = {
      size: places > 0 ? 0 : param.size,
      dtype: floatDType(param, 'a parameter'),
      gradDtype: floatDType(grad, 'a gradient'),
      places,
    };
    const { flags } = kernel;
    return remember(this.#gpu, name, { d, flags }, () => updateProgram(kernel, d, this.#gpu.facts));
  }

  /** The f32 copy begins as the parameter. */
  #startMaster(slot: Slot, { calls }: Recording): void {
    const { data } = slot.parameter;
    if (data.dtype === 'f32' || slot.started.has(master)) return;
    calls.push(this.#casting(data, slot.state.get(master) as Tensor));
  }

  #casting(x: Tensor, y: Tensor): Call {
    const { size } = x;
    const [dtype, to] = [x.dtype as FloatDType, y.dtype as FloatDType];
    const make = () => castProgram(size, dtype, to, this.#gpu.facts);
    return { program: remember(this.#gpu, 'cast', { size, dtype, to }, make), operands: { x, y } };
  }
}

/** The state by role. */
const operandsOf = ({ kernel }: GroupStep, of: (name: string) => Tensor | undefined) =>
  Object.fromEntries(kernel.state.map((name) => [kernel.roles?.[name] ?? name, of(name)]));

const packable = ({ parameter: { data, grad } }: Slot, { packing }: Pack): boolean =>
  data.dtype === packing.dtype && grad?.dtype === data.dtype && copyable(data) && copyable(grad);
