// Tensors that a pass writes: those of the caller, and those that are made where there are none.
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { checkLike, type Like } from './check.ts';

type Given<Name extends string> = { readonly [One in Name]?: Tensor | undefined };

/** Tensors to write to, as messages name them. */
export const named = (out: object): Record<string, Tensor | undefined> =>
  Object.fromEntries(Object.entries(out).map(([name, tensor]) => [`out.${name}`, tensor]));

/**
 * Throws unless the tensors to write to are those of the pass.
 *
 * @param likes - what the pass writes; undefined for what it does not.
 * @param reasons - why it does not.
 */
export function checkOutputs<Name extends string>(
  out: Given<Name>,
  likes: Readonly<Record<Name, Like | undefined>>,
  reasons: Readonly<Partial<Record<Name, string>>>,
): void {
  for (const name in likes) {
    const [tensor, like, label] = [out[name], likes[name], `out.${name}`];
    if (!tensor) continue;
    if (!like) throw new NormError('value', `${label} was given, but ${reasons[name]}.`, 'Leave it out.');
    checkLike({ [label]: tensor }, like);
  }
}

/** All that a pass writes: what is given, and new tensors for the rest. */
export const withOutputs = <Name extends string>(
  gpu: Gpu,
  out: Given<Name>,
  likes: Readonly<Record<Name, Like | undefined>>,
): Record<Name, Tensor | undefined> => {
  const made: Partial<Record<Name, Tensor>> = {};
  for (const name in likes) {
    const like = likes[name];
    if (like) made[name] = out[name] ?? gpu.empty(like.shape, { dtype: like.dtype });
  }
  return made as Record<Name, Tensor | undefined>;
};
