import { NormError } from '../gpu/errors.ts';
import { checkKind } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import { checkMetadata, encodeSafetensors } from '../io/safetensors.ts';
import { StateDict } from '../io/state-dict.ts';
import { loadable } from './load-state.ts';
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
  if (!(dict instanceof Map)) {
    throw new NormError(
      'value',
      `${shown(from)} is neither a Module nor a Map of tensors by name.`,
      'Pass a module, or new Map(Object.entries(tensors)).',
    );
  }
  const entries = loadable(dict).entries as Map<string, Tensor>;
  checkMetadata(metadata);
  const tensors = [...entries.values()];
  const [first] = tensors;
  for (const [name, tensor] of entries) {
    checkKind('saveStateDict', shown(name), tensor, 'tensor');
    (first as Tensor).gpu.checkUsable(tensor, shown(name));
  }
  const bytes = first ? await first.gpu.readBytes(tensors) : [];
  const saved = new StateDict<HostTensor>(
    [...entries].map(([name, tensor], i) => [name, hostTensor(tensor, bytes[i] as ArrayBuffer)]),
  );
  if (dict instanceof StateDict) for (const entry of dict.versions) saved.versions.set(...entry);
  return encodeSafetensors(saved, metadata);
}

function hostTensor({ shape, dtype }: Tensor, bytes: ArrayBuffer): HostTensor {
  if (dtype === 'f16' || dtype === 'bf16') return { dtype, shape, data: new Uint16Array(bytes) };
  if (dtype === 'f32') return { dtype, shape, data: new Float32Array(bytes) };
  return { dtype: 'i64', shape, data: BigInt64Array.from(new Uint32Array(bytes), BigInt) };
}
