import type { Op } from '../../../test/support/subject.ts';
import { someOf } from '../../shared/settings.ts';

export type CheckedOp = Op | 'localResponseNorm';
export const ops: readonly CheckedOp[] = [
  'layerNorm',
  'rmsNorm',
  'addLayerNorm',
  'addRmsNorm',
  'l2Norm',
  'groupNorm',
  'instanceNorm',
  'batchNorm',
  'localResponseNorm',
];
/** 'mixed': x in f16, parameters in f32. */
export const dtypes = ['f32', 'f16', 'mixed'] as const;
export type DType = (typeof dtypes)[number];

export interface Settings {
  ops: CheckedOp[];
  dtypes: DType[];
}

export function parseSettings(given: URLSearchParams): Settings {
  return { ops: someOf(ops, given.get('ops'), ops), dtypes: someOf(dtypes, given.get('dtypes'), dtypes) };
}
