// One norm of one picture, described for the GPU, for the float64 reference and for the cube alike.
import {
  batchNormGeometry,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  type Layout,
  layerNormGeometry,
} from '../../../test/reference/index.ts';
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
  kind: 'moments' | 'rms' | 'response';
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
  return {
    norm,
    kind: norm === 'rms' || norm === 'response' ? norm : 'moments',
    layout,
    size,
    shape,
    normalizedShape,
    groups,
    geometry: geometryOf(state, shape, normalizedShape, layout),
  };
}

function geometryOf(
  { norm, groups }: State,
  shape: number[],
  normalizedShape: number[],
  layout: Layout,
): Geometry {
  switch (norm) {
    case 'group':
      return groupNormGeometry(shape, groups, layout);
    case 'instance':
      return instanceNormGeometry(shape, layout);
    case 'batch':
      return batchNormGeometry(shape, layout);
    case 'response':
      return groupNormGeometry(shape, 1, layout); // its windows are no groups
    default:
      return layerNormGeometry(shape, normalizedShape);
  }
}

/** What LocalResponseNorm is called with, on the GPU and in float64. */
export const responseSettings = ({ window, alpha }: State) => ({ size: window, alpha, beta: 0.75, k: 1 });

export interface Cell {
  n: number;
  c: number;
  position: number;
}

/** Whether the other cell is part of what the first one is normalized by. */
export function isNormalizedBy(state: State, cell: Cell, other: Cell): boolean {
  const sameSample = cell.n === other.n;
  const sameChannel = cell.c === other.c;
  const samePosition = cell.position === other.position;
  const perGroup = channels / state.groups;
  switch (state.norm) {
    case 'batch':
      return sameChannel;
    case 'group':
      return sameSample && Math.floor(cell.c / perGroup) === Math.floor(other.c / perGroup);
    case 'instance':
      return sameSample && sameChannel;
    case 'response': {
      const first = cell.c - Math.floor(state.window / 2);
      return sameSample && samePosition && other.c >= first && other.c < first + state.window;
    }
    default:
      return sameSample && (samePosition || !perPosition(state));
  }
}

export const elementCount = ({ shape }: Task): number => shape.reduce((count, size) => count * size, 1);

/** Steps in memory from one channel to the next and from one position to the next. */
export function strides({ layout, size }: Task): { channel: number; position: number } {
  return layout === 'channels-first'
    ? { channel: size.height * size.width, position: 1 }
    : { channel: 1, position: channels };
}
