// One norm of one picture, described for the GPU, for the float64 reference and for the cube alike.
import {
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  type Layout,
  layerNormGeometry,
} from '../src/reference/index.ts';
import type { State } from './state.ts';

/** The photograph and its dim copy. */
export const samples = 2;
/** The four pixels of each 2×2 block, of red, green and blue: torch.nn.PixelUnshuffle(2). */
export const channels = 12;

export interface Size {
  /** Of x: half of the picture's. */
  height: number;
  width: number;
}

export interface Task {
  norm: State['norm'];
  kind: 'moments' | 'rms';
  layout: Layout;
  size: Size;
  shape: number[];
  /** What LayerNorm and RMSNorm reduce over; also the shape of their γ and β. */
  normalizedShape: number[];
  groups: number;
  geometry: Geometry;
}

const perPosition = ({ norm, over }: State): boolean =>
  (norm === 'layer' || norm === 'rms') && over === 'position';

/** Channels at a position are the end of x's shape only where the channels come last. */
export const layoutOf = (state: State): Layout => (perPosition(state) ? 'channels-last' : state.layout);

export function taskOf(state: State, size: Size): Task {
  const { norm, groups } = state;
  const layout = layoutOf(state);
  const { height, width } = size;
  const sample = layout === 'channels-first' ? [channels, height, width] : [height, width, channels];
  const shape = [samples, ...sample];
  const normalizedShape = perPosition(state) ? [channels] : sample;
  const geometry =
    norm === 'group'
      ? groupNormGeometry(shape, groups, layout)
      : norm === 'instance'
        ? instanceNormGeometry(shape, layout)
        : layerNormGeometry(shape, normalizedShape);
  return {
    norm,
    kind: norm === 'rms' ? 'rms' : 'moments',
    layout,
    size,
    shape,
    normalizedShape,
    groups,
    geometry,
  };
}

/** A name for the set of elements that share statistics with the element at (n, c, position). */
export function setOf(state: State, n: number, c: number, position: number): string {
  switch (state.norm) {
    case 'group':
      return `${n} ${Math.floor(c / (channels / state.groups))}`;
    case 'instance':
      return `${n} ${c}`;
    default:
      return perPosition(state) ? `${n} ${position}` : `${n}`;
  }
}

export const elementCount = ({ shape }: Task): number => shape.reduce((count, size) => count * size, 1);

/** Steps in memory from one channel to the next and from one position to the next. */
export function strides({ layout, size }: Task): { channel: number; position: number } {
  return layout === 'channels-first'
    ? { channel: size.height * size.width, position: 1 }
    : { channel: 1, position: channels };
}
