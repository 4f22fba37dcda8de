/** The golden state dict, as this library has to save it. */
import { decodeSafetensors, encodeSafetensors, type HostTensor, StateDict } from '../../src/index.ts';
import type { GoldenTensor } from './golden.ts';

/** test/golden/state-dict.json. */
export interface GoldenState {
  /** Names in PyTorch's order. */
  keys: string[];
  versions: Record<string, number>;
  modules: { name: string; x: GoldenTensor; y: GoldenTensor }[];
}

/**
 * What saveStateDict is to write of a module that loaded test/golden/state-dict.safetensors: the GPU tests hold it to these
 * bytes, the CPU tests show them to Python.
 */
export function savedGolden(original: Uint8Array, { keys, versions }: GoldenState): Uint8Array<ArrayBuffer> {
  const tensors = decodeSafetensors(original);
  const dict = new StateDict(keys.map((name) => [name, tensors.get(name) as HostTensor]));
  for (const entry of Object.entries(versions)) dict.versions.set(...entry);
  return encodeSafetensors(dict, { format: 'pt' });
}
