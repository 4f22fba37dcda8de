// Where the tensors of a description lie: with strides, and in one buffer with others.
import { NormError } from '../gpu/errors.ts';
import { isKeyOf } from '../gpu/keys.ts';
import { layoutOf, type StridedLayout, spanOf, stridesFor } from '../gpu/layout.ts';
import { shown } from '../gpu/shown.ts';
import type { Like } from './check.ts';
import type { PlacesOptions } from './description.ts';
import type { CallOptions } from './descriptors.ts';
import { checkInjective, scheduleStrided } from './layouts.ts';

type Likes = Readonly<Record<string, Like | undefined>>;

interface Places extends Pick<CallOptions, 'layouts' | 'shared' | 'schedule'> {
  /** Of the tensors that are not dense. */
  strides: Readonly<Record<string, readonly number[]>>;
}

interface Tensors {
  inputs: Likes;
  outputs: Likes;
}

/**
 * What the kernels are told of it.
 *
 * @param strided - whether the norm takes strides.
 * @throws NormError `value` for tensors that the pass has not, `shape` for strides that do not fit, `unsupported` for strides that no kernel
 * walks, `aliasing` for outputs two of whose indices may be one element.
 */
export function placesOf(
  { inputs, outputs }: Tensors,
  { strides = {}, sharedBuffer }: PlacesOptions,
  strided = false,
  schedule?: CallOptions['schedule'],
): Places {
  const all = { ...inputs, ...outputs };
  const there = Object.keys(all).filter((name) => all[name]);
  if (typeof strides !== 'object' || strides === null || Array.isArray(strides)) {
    throw new NormError(
      'value',
      `strides are ${shown(strides)}.`,
      'Pass an object of lists by tensor: { x: [2304, 1] }.',
    );
  }
  if (sharedBuffer !== undefined && !Array.isArray(sharedBuffer)) {
    throw new NormError(
      'value',
      `sharedBuffer is ${shown(sharedBuffer)}.`,
      "Pass a list of names: ['x', 'y'].",
    );
  }
  for (const name of [...Object.keys(strides), ...(sharedBuffer ?? [])]) {
    if (typeof name === 'string' && isKeyOf(all, name) && all[name]) continue;
    throw new NormError(
      'value',
      `This pass has no tensor '${shown(name)}'.`,
      `Use those of ${there.join(', ')}.`,
    );
  }
  const layouts: Record<string, StridedLayout> = {};
  const apart: Record<string, readonly number[]> = {};
  for (const [name, given] of Object.entries(strides)) {
    const { shape } = all[name] as Like;
    const placed = { shape, strides: stridesFor(shape, given) };
    const axes = layoutOf(shape, placed.strides);
    if (!axes) continue;
    if (!strided || shape !== all.x?.shape) {
      throw new NormError(
        'unsupported',
        `${name} has strides.`,
        'Only tensors of the shape of x may have them, in norms over rows.',
      );
    }
    if (outputs[name]) checkInjective({ [name]: placed });
    apart[name] = placed.strides;
    layouts[name] = { ...axes, first: 0, span: spanOf(shape, placed.strides) };
  }
  const some = Object.keys(layouts).length > 0 ? layouts : undefined;
  return {
    strides: apart,
    schedule: scheduleStrided(some, schedule),
    ...(some && { layouts: some }),
    ...(sharedBuffer && sharedBuffer.length > 0 && { shared: [...sharedBuffer].sort() }),
  };
}
