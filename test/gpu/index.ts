import type { Case } from '../harness/case.ts';
import { cases as accuracy } from './accuracy.ts';
import { cases as argumentFuzz } from './argument-fuzz.ts';
import { cases as autotune } from './autotune.ts';
import { cases as averaging } from './averaging.ts';
import { cases as badInput } from './bad-input.ts';
import { cases as batchNorm } from './batch-norm.ts';
import { cases as clipping } from './clipping.ts';
import { cases as columns } from './columns.ts';
import { cases as composites } from './composites.ts';
import { cases as conformance } from './conformance.ts';
import { cases as conformanceChannels } from './conformance-channels.ts';
import { cases as conventions } from './conventions.ts';
import { cases as dataParallel } from './data-parallel.ts';
import { cases as dynamicTanh } from './dynamic-tanh.ts';
import { cases as epilogue } from './epilogue.ts';
import { cases as errors } from './errors.ts';
import { cases as frozenBatchNorm } from './frozen-batch-norm.ts';
import { cases as fuzz } from './fuzz.ts';
import { cases as gate } from './gate.ts';
import { cases as golden } from './golden.ts';
import { cases as groupedRows } from './grouped-rows.ts';
import { cases as inPlace } from './in-place.ts';
import { cases as inPlaceBackward } from './in-place-backward.ts';
import { cases as instanceNorm } from './instance-norm.ts';
import { cases as isolation } from './isolation.ts';
import { cases as keptAxes } from './kept-axes.ts';
import { cases as kernels } from './kernels.ts';
import { cases as l2Norm } from './l2-norm.ts';
import { cases as leaks } from './leaks.ts';
import { cases as limits } from './limits.ts';
import { cases as localResponseNorm } from './local-response-norm.ts';
import { cases as manyParameters } from './many-parameters.ts';
import { cases as merging } from './merging.ts';
import { cases as modulated } from './modulated.ts';
import { cases as moduleTree } from './module-tree.ts';
import { cases as modules } from './modules.ts';
import { cases as optim } from './optim.ts';
import { cases as optimFiles } from './optim-files.ts';
import { cases as optimState } from './optim-state.ts';
import { cases as options } from './options.ts';
import { cases as overhead } from './overhead.ts';
import { cases as range } from './range.ts';
import { cases as readBack } from './read-back.ts';
import { cases as recording } from './recording.ts';
import { cases as replay } from './replay.ts';
import { cases as rowGroups } from './row-groups.ts';
import { cases as schedules } from './schedules.ts';
import { cases as scope } from './scope.ts';
import { cases as sharedBuffers } from './shared-buffers.ts';
import { cases as sizes } from './sizes.ts';
import { cases as smoke } from './smoke.ts';
import { cases as state } from './state.ts';
import { cases as statistics } from './statistics.ts';
import { cases as storage } from './storage.ts';
import { cases as strided } from './strided.ts';
import { cases as syncBatchNorm } from './sync-batch-norm.ts';
import { cases as training } from './training.ts';
import { cases as variants } from './variants.ts';
import { cases as workspace } from './workspace.ts';
import { cases as yDtype } from './y-dtype.ts';

/** Every GPU case, in the order they run. */
export const allCases: Case[] = [
  ...smoke,
  // Early, as in a page that has one norm: after hundreds of cases engines look properties up in slower ways.
  ...overhead,
  ...variants,
  ...storage,
  ...accuracy,
  ...rowGroups,
  ...keptAxes,
  ...range,
  ...l2Norm,
  ...dynamicTanh,
  ...batchNorm,
  ...columns,
  ...merging,
  ...syncBatchNorm,
  ...dataParallel,
  ...frozenBatchNorm,
  ...instanceNorm,
  ...conventions,
  ...epilogue,
  ...localResponseNorm,
  ...kernels,
  ...golden,
  ...groupedRows,
  ...modulated,
  ...gate,
  ...sharedBuffers,
  ...strided,
  ...yDtype,
  ...inPlace,
  ...inPlaceBackward,
  ...conformance,
  ...conformanceChannels,
  ...isolation,
  ...errors,
  ...badInput,
  ...argumentFuzz,
  ...leaks,
  ...readBack,
  ...scope,
  ...statistics,
  ...moduleTree,
  ...options,
  ...modules,
  ...composites,
  ...state,
  ...recording,
  ...replay,
  ...optim,
  ...optimState,
  ...schedules,
  ...manyParameters,
  ...clipping,
  ...optimFiles,
  ...averaging,
  ...training,
  ...sizes,
  ...limits,
  ...workspace,
  ...autotune,
  ...fuzz,
];

const names = new Set<string>();
for (const { name } of allCases) {
  if (names.has(name)) throw new Error(`two GPU cases are named "${name}"`);
  names.add(name);
}
