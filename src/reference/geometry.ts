import type { Geometry } from '../plan/geometry.ts';

export {
  batchNormGeometry,
  elementCount,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  type Layout,
  layerNormGeometry,
  setCount,
  setSize,
} from '../plan/geometry.ts';

/** Calls visit(element, set, channel) for every element of x in memory order. */
export function forEachElement(
  geometry: Geometry,
  visit: (element: number, set: number, channel: number) => void,
): void {
  const { samples, positions, channels, inner, groups } = geometry;
  const channelsPerGroup = channels / groups;
  let element = 0;
  for (let sample = 0; sample < samples; sample++) {
    for (let position = 0; position < positions; position++) {
      for (let channel = 0; channel < channels; channel++) {
        const set = sample * groups + Math.floor(channel / channelsPerGroup);
        for (let i = 0; i < inner; i++) visit(element++, set, channel);
      }
    }
  }
}
