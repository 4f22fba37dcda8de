import { boundBuffers, gridOf } from './bound.ts';
import { NormError } from './errors.ts';
import type { Gpu } from './gpu.ts';
import type { OptionNames } from './options.ts';
import type { Pipeline } from './pipelines.ts';
import type { Program, Step } from './program.ts';
import { shown } from './shown.ts';
import { type Tensor, tensorsDestroyed } from './tensor.ts';

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

/** A dispatch with everything bound. */
interface Dispatch {
  pipeline: GPUComputePipeline;
  group: GPUBindGroup;
  columns: number;
  lines: number;
}

/** A call whose dispatches are bound: recording it again makes no GPU object. */
interface Bound {
  call: Call;
  faults: number;
  pipelines: readonly Pipeline[];
  dispatches: readonly Dispatch[];
}

// By the last tensor that a call writes, the statistics or the gradients of parameters, which others rarely write too:
// with the same outputs and inputs again, which is how a training loop or an inference server calls, the bind groups are
// the same. A tensor that is let go of takes its entry along.
const bound = new WeakMap<Tensor, Bound>();

/**
 * A call that was recorded, for callers who record the very same again: there is nothing left to look up, to check or to
 * make. Recording a warm norm of a few thousand elements costs the CPU little more than its three WebGPU calls.
 */
export class Repeat {
  readonly #gpu: Gpu;
  readonly #label: string;
  readonly #faults: number;
  readonly #call: Call;
  readonly #dispatches: readonly Dispatch[];
  /** How many tensors had been destroyed when those of the call were last seen alive. */
  #destroyed = tensorsDestroyed;

  constructor(gpu: Gpu, call: Call, label: string) {
    this.#gpu = gpu;
    this.#call = call;
    this.#label = label;
    this.#faults = gpu.faults.epoch;
    this.#dispatches = bind(gpu, call);
  }

  /** Whether all is as it was: no tensor destroyed, nothing refused by WebGPU, the device alive. */
  get possible(): boolean {
    if (this.#gpu.faults.epoch !== this.#faults) return false;
    if (this.#destroyed === tensorsDestroyed) return true;
    if (Object.values(this.#call.operands).some((tensor) => tensor?.destroyed)) return false;
    this.#destroyed = tensorsDestroyed;
    return true;
  }

  /** To be called only where it is possible. */
  record(target: RecordOptions): void {
    checkRecorder(target);
    if (target.pass && !target.encoder) recordDispatches(target.pass, this.#dispatches);
    else executeAll(this.#gpu, [this.#call], target, this.#label);
  }
}

/** Records the program's dispatches, in order. Each sees what the ones before it wrote. */
export function execute(
  gpu: Gpu,
  program: Program,
  operands: Operands,
  target: RecordOptions,
  label: string,
): void {
  executeAll(gpu, [{ program, operands }], target, label);
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

/** Records several programs, in order, into one pass. */
export function executeAll(gpu: Gpu, calls: readonly Call[], target: RecordOptions, label: string): void {
  // Whatever can be wrong is found before anything is recorded: the pass may be the caller's.
  const [bindings, checks] = gpu.faults.checked(() => calls.map((call) => bind(gpu, call)));
  const recordInto = (pass: GPUComputePassEncoder) => {
    for (const dispatches of bindings) recordDispatches(pass, dispatches);
  };
  const recordPass = (encoder: GPUCommandEncoder) => {
    const pass = encoder.beginComputePass({ label });
    recordInto(pass);
    pass.end();
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
  gpu.faults.submitting(label, calls.flatMap(outputsOf), body, calls.flatMap(updatesOf), checks);
}

/** The tensors that a call writes. */
function outputsOf({ program, operands }: Call): Tensor[] {
  const outputs = new Set<Tensor>();
  for (const { kernel } of program.steps) {
    for (const { role, access } of kernel.bindings) {
      const tensor = operands[role];
      if (access === 'read_write' && tensor) outputs.add(tensor);
    }
  }
  return [...outputs];
}

/** Those of them that it changes. */
function updatesOf({ program, operands }: Call): Tensor[] {
  const bindings = program.steps.flatMap(({ kernel }) => kernel.bindings);
  const tensors = bindings.map(({ role, updates }) => (updates ? operands[role] : undefined));
  return tensors.filter((tensor) => tensor !== undefined);
}

function bind(gpu: Gpu, call: Call): readonly Dispatch[] {
  const anchor = outputsOf(call).at(-1);
  const known = anchor && bound.get(anchor);
  const pipelines = call.program.steps.map(({ kernel }) => gpu.pipeline(kernel));
  // What turned out not to compile, or to have no memory, is another one the next time.
  const faults = gpu.faults.epoch;
  const same =
    known?.faults === faults &&
    sameCall(known.call, call) &&
    pipelines.every((one, i) => one === known.pipelines[i]);
  if (same) return known.dispatches;
  const dispatches = call.program.steps.map((step, i) =>
    dispatchOf(gpu, step, pipelines[i] as Pipeline, call),
  );
  if (anchor) bound.set(anchor, { call, faults, pipelines, dispatches });
  return dispatches;
}

function sameCall(a: Call, b: Call): boolean {
  if (a.program !== b.program) return false;
  for (const role in b.operands) if (a.operands[role] !== b.operands[role]) return false;
  return true;
}

function dispatchOf(gpu: Gpu, step: Step, { pipeline, layout }: Pipeline, call: Call): Dispatch {
  const { kernel } = step;
  const { operands, program } = call;
  const bound = boundBuffers(step, program.scratch, (role) => operands[role]?.byteLength);
  const entries: GPUBindGroupEntry[] = bound.map(({ binding, role, offset, size }) => {
    const tensor = operands[role];
    const resource = tensor
      ? { buffer: tensor.buffer, offset: tensor.offset + offset, size }
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
