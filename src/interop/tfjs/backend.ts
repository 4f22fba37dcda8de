import type { DataId, TensorInfo } from '@tensorflow/tfjs-core';
import { Gpu } from '../../gpu/gpu.ts';
import type { Tensor } from '../../gpu/tensor.ts';

/**
 * What a kernel needs of tfjs's WebGPUBackend, version 4: it records into the backend's own compute pass, so that its
 * dispatches keep tfjs's order and cost no submit of their own.
 */
export interface WebGpuBackend {
  readonly device: GPUDevice;
  computePassEncoder: GPUComputePassEncoder | null;
  readonly commandEncoder: GPUCommandEncoder | null;
  /** Tensors that commands not yet submitted refer to: they are freed after the submit. */
  readonly commandQueueOwnedIds: WeakSet<DataId>;
  dispatchCountInPass: number;
  readonly tensorMap: { get(dataId: DataId): { resource?: unknown } };
  makeTensorInfo(shape: number[], dtype: 'float32'): TensorInfo;
  uploadToGPU(dataId: DataId): void;
  disposeData(dataId: DataId): boolean;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

const contexts = new WeakMap<GPUDevice, Gpu>();

/** The context on the backend's device, which stays tfjs's. */
function contextOf({ device }: WebGpuBackend): Gpu {
  let gpu = contexts.get(device);
  if (!gpu) {
    gpu = new Gpu(device, device.adapterInfo, false);
    contexts.set(device, gpu);
  }
  return gpu;
}

/** A tensor of tfjs and the shape that it is to be seen in. */
export interface View {
  info: TensorInfo;
  shape: readonly number[];
}

export type Named<T> = Partial<Record<string, T>>;

/** What a recorded operation is given: tensors on tfjs's buffers. */
export interface Recording {
  gpu: Gpu;
  pass: GPUComputePassEncoder;
  inputs: Named<Tensor>;
  outputs: Named<Tensor>;
}

/**
 * Makes the output tensors and records an operation into tfjs's current pass.
 *
 * @param outputs - by name, tfjs's shape and the shape that the operation sees.
 * @param batch - dispatches after which tfjs submits, its flag WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE.
 */
export function record<Name extends string>(
  backend: WebGpuBackend,
  inputs: Named<View>,
  outputs: Readonly<Record<Name, readonly number[]>>,
  views: Named<readonly number[]>,
  batch: number,
  body: (recording: Recording) => void,
): Record<Name, TensorInfo> {
  const gpu = contextOf(backend);
  const made: Named<TensorInfo> = {};
  for (const [name, shape] of Object.entries<readonly number[]>(outputs)) {
    made[name] = backend.makeTensorInfo([...shape], 'float32');
  }
  const infos = [...Object.values(made), ...Object.values(inputs).map((view) => view?.info)];
  const wrap = ({ dataId }: TensorInfo, shape: readonly number[]): Tensor =>
    gpu.wrap(backend.tensorMap.get(dataId).resource as GPUBuffer, shape);
  try {
    for (const info of infos) if (info) backend.uploadToGPU(info.dataId);
    backend.ensureCommandEncoderReady();
    backend.computePassEncoder ??= (backend.commandEncoder as GPUCommandEncoder).beginComputePass();
    const given: Named<Tensor> = {};
    for (const [name, view] of Object.entries(inputs)) if (view) given[name] = wrap(view.info, view.shape);
    const results: Named<Tensor> = {};
    for (const [name, info] of Object.entries(made)) {
      if (info) results[name] = wrap(info, views[name] ?? info.shape);
    }
    body({ gpu, pass: backend.computePassEncoder, inputs: given, outputs: results });
  } catch (error) {
    for (const info of Object.values(made)) if (info) backend.disposeData(info.dataId);
    throw error;
  }
  for (const info of infos) if (info) backend.commandQueueOwnedIds.add(info.dataId);
  backend.dispatchCountInPass++;
  if (backend.dispatchCountInPass >= batch) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  return made as Record<Name, TensorInfo>;
}
