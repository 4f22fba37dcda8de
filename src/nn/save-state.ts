import type { Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import { encodeSafetensors } from '../io/safetensors.ts';
import { StateDict } from '../io/state-dict.ts';
import { Module } from './module.ts';

/**
 * A safetensors file of a module, or of tensors by name: PyTorch's names, and i64 for counts, as PyTorch has them. Load
 * it with `module.loadStateDict(decodeSafetensors(bytes))`, or in Python with `safetensors.torch.load_file`.
 *
 * The values are those of the moment of the call, with all that was submitted until then.
 *
 * @param metadata - what else to say in the file, text by text. Default `{ format: 'pt' }`, which some readers want.
 * @throws NormError `destroyed`; rejects as {@link Tensor.data}.
 */
export async function saveStateDict(
  from: Module | ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Promise<Uint8Array<ArrayBuffer>> {
  const dict = from instanceof Module ? from.stateDict() : from;
  // All copies are submitted before the first is waited for.
  const entries = [...dict].map(async ([name, tensor]) => [name, await hostTensor(tensor)] as const);
  const saved = new StateDict<HostTensor>(await Promise.all(entries));
  if (dict instanceof StateDict) for (const entry of dict.versions) saved.versions.set(...entry);
  return encodeSafetensors(saved, metadata);
}

async function hostTensor(tensor: Tensor): Promise<HostTensor> {
  const { shape, dtype } = tensor;
  const bytes = await tensor.gpu.readBytes(tensor);
  if (dtype === 'f16') return { dtype, shape, data: new Uint16Array(bytes) };
  if (dtype === 'f32') return { dtype, shape, data: new Float32Array(bytes) };
  return { dtype: 'i64', shape, data: BigInt64Array.from(new Uint32Array(bytes), BigInt) };
}
