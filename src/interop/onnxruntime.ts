/**
 * onnxruntime-web on one device with this library: tensors pass between the two without a copy.
 *
 * @packageDocumentation
 */
import type { Env, Tensor as OrtTensor, TensorConstructor } from 'onnxruntime-web';
import { checkContext } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type InitOptions, init } from '../gpu/init.ts';
import { checkKind } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { DType, Tensor } from '../gpu/tensor.ts';

/** What is used of the module `onnxruntime-web`. */
export interface OnnxRuntime {
  env: Pick<Env, 'webgpu'>;
  Tensor: Pick<TensorConstructor, 'fromGpuBuffer'>;
}

const dtypes: Partial<Record<string, DType>> = { float32: 'f32', float16: 'f16', uint32: 'u32' };
const dataTypes = { f32: 'float32', f16: 'float16', bf16: undefined, u32: 'uint32' } as const;

/**
 * A context on the device of onnxruntime-web, which stays its own.
 *
 * @param ort - the module, after its first session with the WebGPU execution provider was made: before that, it has no
 * device.
 * @throws NormError `order` before that.
 */
export async function initFromOnnxRuntime(
  ort: OnnxRuntime,
  options: Pick<InitOptions, 'facts'> = {},
): Promise<Gpu> {
  const missing = (cause?: unknown) =>
    new NormError(
      'order',
      'onnxruntime-web has no WebGPU device yet.',
      "Create a session with { executionProviders: ['webgpu'] } first.",
      cause,
    );
  // Reading it can throw, or give a promise, or nothing: versions differ.
  let device: GPUDevice | undefined;
  try {
    device = (await ort.env.webgpu.device) as GPUDevice | undefined;
  } catch (cause) {
    throw missing(cause);
  }
  if (!device) throw missing();
  return init({ ...options, device });
}

/**
 * A tensor of onnxruntime-web as one of ours, on the same buffer: `session.run()` gives such tensors where the session was
 * made with `preferredOutputLocation: 'gpu-buffer'`. It can be used until `dispose()` of the other gives the buffer back to
 * onnxruntime-web; what was submitted before that still sees it, since both use one queue.
 *
 * @param tensor - float32, float16 or uint32.
 * @throws NormError `buffer` if the tensor is not on the GPU, `dtype`; as {@link Gpu.wrap}.
 */
export function fromOnnxRuntime(gpu: Gpu, tensor: OrtTensor): Tensor {
  checkContext(gpu);
  if (tensor?.location !== 'gpu-buffer') {
    throw new NormError(
      'buffer',
      `The tensor is at '${shown(tensor?.location)}', not in a GPU buffer.`,
      "Make the session with preferredOutputLocation: 'gpu-buffer', or upload the data with gpu.tensor().",
    );
  }
  const dtype = dtypes[shown(tensor.type)];
  if (!dtype) {
    throw new NormError(
      'dtype',
      `There is no dtype for ${shown(tensor.type)}.`,
      'Use float32, float16 or uint32.',
    );
  }
  return gpu.wrap(tensor.gpuBuffer as GPUBuffer, tensor.dims, { dtype });
}

/**
 * One of our tensors as a tensor of onnxruntime-web, on the same buffer: an input of `session.run()`, or one of its fetches.
 * Submit what writes it before: `run()` submits on the same queue. Disposing of it leaves ours alone.
 *
 * @throws NormError `buffer` if the tensor does not start where its buffer does; `dtype` for bf16, which onnxruntime-web has not; `destroyed`.
 */
export function toOnnxRuntime(ort: OnnxRuntime, tensor: Tensor): OrtTensor {
  checkKind('toOnnxRuntime', 'tensor', tensor, 'tensor');
  tensor.gpu.checkUsable(tensor);
  if (tensor.offset !== 0) {
    throw new NormError(
      'buffer',
      `The tensor starts at byte ${tensor.offset} of its buffer; onnxruntime-web takes whole buffers.`,
      'Copy it to a buffer of its own.',
    );
  }
  const dataType = dataTypes[tensor.dtype];
  if (!dataType) {
    throw new NormError(
      'dtype',
      `onnxruntime-web has no tensors of ${tensor.dtype}.`,
      'Upload it as f32: gpu.tensor(await tensor.data(), tensor.shape).',
    );
  }
  return ort.Tensor.fromGpuBuffer(tensor.buffer, {
    dataType,
    dims: [...tensor.shape],
  });
}
