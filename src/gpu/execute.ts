import { NormError } from './errors.ts';
import type { Gpu } from './gpu.ts';
import { alignUp, type Program, type Step } from './program.ts';
import type { Tensor } from './tensor.ts';

/**
 * Where an operation is recorded. With neither, it gets an encoder of its own and is submitted at once. With either,
 * nothing is submitted: the caller ends the pass, finishes the encoder and submits.
 */
export interface RecordOptions {
  /** An open command encoder; gets a compute pass of its own. */
  encoder?: GPUCommandEncoder | undefined;
  /** An open compute pass. */
  pass?: GPUComputePassEncoder | undefined;
}

/** Tensors by role; absent roles are those that the kernel does not touch. */
export type Operands = Readonly<Record<string, Tensor | undefined>>;

/** A program and the tensors that it is to be run on. */
export interface Call {
  program: Program;
  operands: Operands;
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

/** Records several programs, in order, into one pass. */
export function executeAll(gpu: Gpu, calls: readonly Call[], target: RecordOptions, label: string): void {
  const recordInto = (pass: GPUComputePassEncoder) => {
    for (const { program, operands } of calls) {
      for (const step of program.steps) record(gpu, pass, step, program, operands);
    }
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
  const outputs = new Set<Tensor | undefined>();
  for (const { program, operands } of calls) {
    for (const { kernel } of program.steps) {
      for (const { role, writes } of kernel.bindings) if (writes) outputs.add(operands[role]);
    }
  }
  gpu.submitting(label, [...outputs], () => {
    const encoder = gpu.device.createCommandEncoder({ label });
    recordPass(encoder);
    gpu.device.queue.submit([encoder.finish({ label })]);
  });
}

function record(
  gpu: Gpu,
  pass: GPUComputePassEncoder,
  step: Step,
  program: Program,
  operands: Operands,
): void {
  const { kernel } = step;
  const { pipeline, layout } = gpu.pipeline(kernel);
  const entries: GPUBindGroupEntry[] = [
    { binding: 0, resource: { buffer: gpu.shared.uniform(step.params) } },
  ];
  for (const { role, binding, writes } of kernel.bindings) {
    entries.push({ binding, resource: resource(gpu, role, binding, writes, step, program, operands) });
  }
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, gpu.device.createBindGroup({ label: kernel.key, layout, entries }));
  const [columns, lines] = fold(step.workgroups, gpu.facts.maxWorkgroupsPerDimension);
  pass.dispatchWorkgroups(columns, lines);
}

function resource(
  gpu: Gpu,
  role: string,
  binding: number,
  writes: boolean,
  step: Step,
  program: Program,
  operands: Operands,
): GPUBufferBinding {
  const range = step.ranges[role];
  const tensor = operands[role];
  if (tensor) {
    const offset = tensor.offset + (range?.offset ?? 0);
    return { buffer: tensor.buffer, offset, size: alignUp(range?.size ?? tensor.byteLength, 4) };
  }
  const bytes = program.scratch[role];
  if (bytes !== undefined) {
    return {
      buffer: gpu.shared.scratch(role, bytes),
      offset: range?.offset ?? 0,
      size: alignUp(range?.size ?? bytes, 4),
    };
  }
  return gpu.shared.placeholder(binding, writes);
}

/** The two dispatch sizes whose product is at least `workgroups`; kernels skip the surplus. */
export function fold(workgroups: number, limit: number): [number, number] {
  if (workgroups <= limit) return [workgroups, 1];
  const columns = Math.ceil(Math.sqrt(workgroups));
  const lines = Math.ceil(workgroups / columns);
  if (columns > limit || lines > limit) {
    throw new NormError(
      'limit',
      `${workgroups} workgroups exceed what the device dispatches at once.`,
      'Split the tensor.',
    );
  }
  return [columns, lines];
}
