import type { Tensor } from '../gpu/tensor.ts';

/**
 * Names and tensors, in order: torch's state_dict. Its tensors are the module's own, not copies: they change as the
 * module does, and are not to be destroyed.
 */
export class StateDict<Entry = Tensor> extends Map<string, Entry> {
  /**
   * The version of each module's entries by the module's name, '' for the root: PyTorch's `_metadata`. Empty where a
   * file does not say, as those of Python's safetensors do not.
   */
  readonly versions = new Map<string, number>();
  /** What else a file says, text by text. */
  metadata: Readonly<Record<string, string>> = {};
  /**
   * Tensors of a file that are not in here, since no array of JavaScript holds their elements: the dtype, such as
   * 'F8_E4M3', by name. Loading one of them into a module is refused, and says so.
   */
  readonly unsupported = new Map<string, string>();
}
