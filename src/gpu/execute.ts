import { boundBuffers, gridOf } from './bound.ts';
import { NormError } from './errors.ts';
import type { Check } from './faults.ts';
import type { Gpu } from './gpu.ts';
import { bindingOffset } from './layout.ts';
import type { OptionNames } from './options.ts';
import type { Pipeline } from './pipelines.ts';
import { alignUp, type Program, type Step } from './program.ts';
import { Replay } from './replay.ts';
import { shown } from './shown.ts';
import type { Tensor } from './tensor.ts';

/**
 * Where an operation is recorded. Whether an encoder was finished or a pass ended, WebGPU does not tell: it reports recording there as
 * an error of the device. With neither, it gets an encoder of its own and is submitted at once. With either,
 * nothing is submitted: the caller ends the pass, finishes the encoder and submits.
 */
export interface RecordOptions {
  /** An open command encoder; gets a compute pass of its own. */
  encoder?: GPUCommandEncoder | undefined;
  /** An open compute pass. */
  pass?: GPUComputePassEncoder | undefined;
}

/** @internal */
export const recordNames = { encoder: 'other', pass: 'other' } as const satisfies OptionNames<RecordOptions>;

/** @internal Throws `value` unless encoder and pass, if they are there, are such. Whether they are still open cannot be known. */
export function checkRecorder({ encoder, pass }: RecordOptions): void {
  if (encoder !== undefined && typeof encoder?.beginComputePass !== 'function') {
    throw noRecorder('encoder', encoder, 'device.createCommandEncoder()');
  }
  if (pass !== undefined && typeof pass?.dispatchWorkgroups !== 'function') {
    throw noRecorder('pass', pass, 'encoder.beginComputePass()');
  }
}

const noRecorder = (name: string, given: unknown, maker: string): NormError =>
  new NormError('value', `${name} is ${shown(given)}.`, `Pass what ${maker} returned, or leave it out.`);

/** Tensors by role; absent roles are those that the kernel does not touch. */
export type Operands = Readonly<Record<string, Tensor | undefined>>;

/** A program and the tensors that it is to be run on. */
export interface Call {
  program: Program;
  operands: Operands;
}

/** The bytes of one tensor become those of another, which is as long; both in multiples of four. */
export interface Copy {
  readonly from: Tensor;
  readonly to: Tensor;
}

/** What is copied before and after the dispatches of some calls, in the same encoder. A compute pass cannot copy. */
export interface Copies {
  readonly before: readonly Copy[];
  readonly after: readonly Copy[];
}

/** A dispatch with everything bound. */
interface Dispatch {
  pipeline: GPUComputePipeline;
  group: GPUBindGroup;
  columns: number;
  lines: number;
}

/** A call whose dispatches are bound: recording it again makes no GPU object. */
export class Bound {
  readonly call: Call;
  readonly label: string;
  readonly dispatches: readonly Dispatch[];
  /** Whether the same call can come again: not where a tensor was made for this one. */
  readonly recurs: boolean;
  readonly #gpu: Gpu;
  readonly #epoch: number;
  readonly #pipelines: readonly Pipeline[];

  constructor(gpu: Gpu, call: Call, label: string, recurs: boolean) {
    this.#gpu = gpu;
    this.call = call;
    this.label = label;
    this.recurs = recurs;
    this.#pipelines = call.program.steps.map(({ kernel }) => gpu.pipeline(kernel));
    this.#epoch = gpu.faults.epoch;
    this.dispatches = call.program.steps.map((step, i) =>
      dispatchOf(gpu, step, this.#pipelines[i] as Pipeline, call),
    );
  }

  /** Whether all is as it was: no tensor destroyed, nothing refused by WebGPU, the device alive. */
  get current(): boolean {
    if (this.#epoch !== this.#gpu.faults.epoch) return false;
    if (this.#pipelines.some(({ broken }) => broken)) return false;
    return !Object.values(this.call.operands).some((tensor) => tensor?.destroyed);
  }

  /** Records the call again. */
  record(target: RecordOptions): void {
    checkRecorder(target);
    if (target.pass && !target.encoder) recordDispatches(target.pass, this.dispatches);
    else recordAll(this.#gpu, [this], target, this.label);
  }
}

/** Records the program's dispatches, in order. Each sees what the ones before it wrote. */
export function execute(
  gpu: Gpu,
  program: Program,
  operands: Operands,
  target: RecordOptions,
  label: string,
): Bound {
  return executeAll(gpu, [{ program, operands }], target, label)[0] as Bound;
}

function recordDispatches(pass: GPUComputePassEncoder, dispatches: readonly Dispatch[]): void {
  // By index: an iterator costs as much as one of the calls.
  for (let i = 0; i < dispatches.length; i++) {
    const { pipeline, group, columns, lines } = dispatches[i] as Dispatch;
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(columns, lines);
  }
}

/**
 * Records several programs, in order, into one pass.
 *
 * @param copies - around them. None if the target is a pass.
 */
export function executeAll(
  gpu: Gpu,
  calls: readonly Call[],
  target: RecordOptions,
  label: string,
  copies: Copies = noCopies,
): readonly Bound[] {
  // Whatever can be wrong is found before anything is recorded: the pass may be the caller's.
  const [bound, checks] = gpu.faults.checked(() => calls.map((call) => bind(gpu, call, label)));
  recordAll(gpu, bound, target, label, checks, copies);
  return bound;
}

const noCopies: Copies = { before: [], after: [] };

function recordCopies(encoder: GPUCommandEncoder, copies: readonly Copy[]): void {
  for (const { from, to } of copies) {
    encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, alignUp(from.byteLength, 4));
  }
}

/** @param checks - of what was compiled and allocated for them just now. */
function recordAll(
  gpu: Gpu,
  bound: readonly Bound[],
  target: RecordOptions,
  label: string,
  checks: readonly Check[] = [],
  { before, after }: Copies = noCopies,
): void {
  const recordInto = (pass: GPUComputePassEncoder) => {
    for (const { dispatches } of bound) recordDispatches(pass, dispatches);
  };
  const recordPass = (encoder: GPUCommandEncoder) => {
    recordCopies(encoder, before);
    const pass = encoder.beginComputePass({ label });
    recordInto(pass);
    pass.end();
    recordCopies(encoder, after);
  };
  if (target.pass) {
    recordInto(target.pass);
    return;
  }
  if (target.encoder) {
    recordPass(target.encoder);
    return;
  }
  const body = () => {
    const encoder = gpu.device.createCommandEncoder({ label });
    recordPass(encoder);
    gpu.device.queue.submit([encoder.finish({ label })]);
  };
  const copied = after.map(({ to }) => to);
  const outputs = [...bound.flatMap(({ call }) => outputsOf(call)), ...copied];
  const updates = [...bound.flatMap(({ call }) => outputsOf(call, true)), ...copied];
  gpu.faults.submitting(label, outputs, body, updates, checks);
}

/** The tensors that a call writes; of `updates` alone those that it changes. */
function outputsOf({ program, operands }: Call, updates = false): Tensor[] {
  const outputs = new Set<Tensor>();
  for (const { kernel } of program.steps) {
    for (const binding of kernel.bindings) {
      const tensor = operands[binding.role];
      if (tensor && (updates ? binding.updates : binding.writes)) outputs.add(tensor);
    }
  }
  return [...outputs];
}

// By the last tensor that a call writes, the statistics or the gradients of parameters, which others rarely write too:
// with the same outputs and inputs again, which is how a training loop or an inference server calls, the bind groups are
// the same. A tensor that is let go of takes its entry along.
const replays = new WeakMap<Tensor, Replay<Bound>>();

function bind(gpu: Gpu, call: Call, label: string): Bound {
  const { program, operands } = call;
  const anchor = outputsOf(call).at(-1);
  const last = anchor && replays.get(anchor);
  const known = last?.find(gpu, program, label, operands);
  if (known) return known;
  const recurs = !gpu.madeAny(Object.values(operands));
  const bound = new Bound(gpu, call, label, recurs);
  if (anchor && recurs) {
    const replay = last ?? new Replay<Bound>(({ current }) => [current]);
    replay.keep(gpu, program, label, operands, bound);
    replays.set(anchor, replay);
  }
  return bound;
}

function dispatchOf(gpu: Gpu, step: Step, { pipeline, layout }: Pipeline, call: Call): Dispatch {
  const { kernel } = step;
  const { operands, program } = call;
  const alignment = gpu.facts.offsetAlignment;
  const bound = boundBuffers(step, program.scratch, (role) => operands[role]?.byteLength);
  const entries: GPUBindGroupEntry[] = bound.map(({ binding, role, offset, size }) => {
    const tensor = operands[role];
    const resource = tensor
      ? { buffer: tensor.buffer, offset: bindingOffset(tensor, alignment) + offset, size }
      : { buffer: gpu.shared.scratch(role, program.scratch[role] as number), offset, size };
    return { binding, resource };
  });
  if (kernel.fields.length > 0) {
    entries.unshift({ binding: 0, resource: { buffer: gpu.shared.uniform(step.params) } });
  }
  const group = gpu.device.createBindGroup({ label: kernel.label, layout, entries });
  const [columns, lines] = gridOf(step.workgroups, gpu.facts.maxWorkgroupsPerDimension);
  return { pipeline, group, columns, lines };
}
