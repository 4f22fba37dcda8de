import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';
import { byteSize } from '../gpu/tensor.ts';
import { type Chunk, chunksOf } from '../plan/chunks.ts';
import { elementCount, setCount } from '../plan/geometry.ts';
import { scheduleBackward, scheduleRowBackward } from '../plan/schedule.ts';
import type { BackwardSchedule, ScheduleOptions } from '../plan/strategy.ts';
import {
  type At,
  channelApply,
  channelSums,
  columns,
  makesGradients,
  mergeGradients,
  mergeSums,
  onePassPerChannel,
  onePassPerRow,
  packStatistics,
  runApply,
  runSums,
  slotsOfChunk,
  withStoredUpstream,
} from './backward-steps.ts';
import type { BackwardDescriptor } from './descriptor.ts';
import { alone, channelRuns, parameterBytes, partialsOf, partOf, setRuns } from './parts.ts';

/**
 * The dispatches of a backward pass where every column of a row has a weight: LayerNorm, RMSNorm. Roles: x, dy, dsum,
 * weight, bias, residual, mean, rstd in; dx, dweight, dbias, dresidual out; dz is dresidual, read.
 */
export function rowBackward(d: BackwardDescriptor, facts: DeviceFacts): Program {
  if (elementCount(d.geometry) === 0) return ofNothing(d, facts);
  const schedule = scheduleRowBackward(d.geometry, facts, overrides(d));
  const gradientBytes = 8 * d.geometry.channels; // per slot
  const whole = { 'A row of dweight and dbias': gradientBytes };
  return inParts(d, schedule, setRuns, facts, 0, whole, (at, chunk) => {
    const slots = slotsOfChunk(schedule, chunk, d.geometry);
    const partials = () => {
      at.need('gradients', slots * gradientBytes);
      return wanted(at, 'gradients', slots);
    };
    if (schedule.strategy === 'tile') return [onePassPerRow(at, slots), ...partials()];
    const sets = setCount(at.g);
    at.need('partials', 8 * sets * schedule.slots);
    at.need('sums', 16 * sets);
    const second = withStoredUpstream(at);
    const first = [...packed(at), runSums(at), mergeSums(at, false), columns(second, slots)];
    return makesGradients(second, slots) ? first : [...first, ...partials()];
  });
}

/** The dispatches of any backward pass. Roles: those of {@link rowBackward}. */
export function backwardProgram(d: BackwardDescriptor, facts: DeviceFacts): Program {
  const { geometry, stage } = d;
  if (elementCount(geometry) === 0) {
    return stage === 'local' ? { steps: [], scratch: {} } : ofNothing(d, facts);
  }
  const schedule = scheduleBackward(geometry, facts, overrides(d));
  if (!schedule.columns && geometry.inner === 1) return rowBackward(d, facts);
  const runSumsOf = schedule.columns ? channelSums : runSums;
  const applyOf = schedule.columns ? channelApply : runApply;
  // Where weight belongs to a channel, the sums over a channel's elements serve dweight, dbias and dx alike.
  const { slots, inner } = partialsOf(geometry, schedule);
  const partialBytes = 8 * slots * geometry.channels * inner; // per sample
  return inParts(d, schedule, channelRuns, facts, partialBytes, {}, (at, { samples }) => {
    if (stage === 'joined') {
      const all = { ...at, params: { ...at.params, count: d.total ?? 0 } };
      at.need('sums', 16 * setCount(at.g));
      // The sums of all replicas are as one slot.
      const sums = mergeSums(all, true, { width: geometry.channels, slots: 1, inner: 1 });
      return [sums, applyOf(withStoredUpstream(all)), ...wanted(at, 'gradients', 1)];
    }
    at.need('partials', samples * partialBytes);
    const gradients = (own: At) => wanted(own, 'partials', samples * slots, inner);
    if (schedule.strategy !== 'split') return [onePassPerChannel(at), ...gradients(at)];
    const sums = [...packed(at), runSumsOf(at)];
    if (stage === 'local') {
      const own = { ...d, paramDtype: 'f32', dweight: true, dbias: true } as const;
      const accumulate = { dweight: false, dbias: false };
      return [...sums, ...gradients({ ...at, d: own, accumulate })];
    }
    at.need('sums', 16 * setCount(at.g));
    return [...sums, mergeSums(at, true), applyOf(withStoredUpstream(at)), ...gradients(at)];
  });
}

/**
 * Frozen statistics and those of replicas are a matter of the merge, and dresidual one of the first pass of two: a split
 * has both.
 */
const overrides = (d: BackwardDescriptor): ScheduleOptions =>
  d.frozen || d.residual === 'after' || d.stage ? { ...d.schedule, strategy: 'split' } : d.schedule;

/** The gradients of nothing are zeros: a sum over no slots. */
function ofNothing(d: BackwardDescriptor, facts: DeviceFacts): Program {
  const { geometry, accumulate } = d;
  if (geometry.channels === 0) return { steps: [], scratch: {} };
  const part = partOf(d, { firstSample: 0, samples: geometry.samples }, facts);
  const at = { d, facts, ...part, accumulate, schedule: { gradients: alone } };
  return { steps: wanted(at, 'gradients', 0), scratch: { gradients: 8 } };
}

/** The dispatches over each part of x that a binding can hold, with so many bytes of scratch per sample. */
function inParts(
  d: BackwardDescriptor,
  schedule: BackwardSchedule,
  runsOf: typeof setRuns,
  facts: DeviceFacts,
  bytes: number,
  whole: Readonly<Record<string, number>>,
  stepsOf: (at: At, chunk: Chunk) => Step[],
): Program {
  const { geometry, dtype } = d;
  const perSample = [16 * geometry.groups, bytes];
  const chunks = chunksOf(geometry, byteSize(dtype), perSample, { ...parameterBytes(d), ...whole }, facts);
  const scratch: Record<string, number> = {};
  const need = (role: string, size: number) => {
    scratch[role] = Math.max(scratch[role] ?? 0, size);
  };
  const steps = chunks.flatMap((chunk, index) => {
    const part = partOf(d, chunk, facts);
    const runs = runsOf(part.g, schedule.vec4);
    // Later parts add to what the first one wrote.
    const accumulate = index > 0 ? { dweight: true, dbias: true } : d.accumulate;
    return stepsOf({ d, schedule, facts, ...part, runs, accumulate, need, upstream: 'dy' }, chunk);
  });
  return { steps, scratch };
}

/** dweight and dbias, if any of them is wanted. */
const wanted = (
  at: Parameters<typeof mergeGradients>[0],
  role: 'partials' | 'gradients',
  slots: number,
  inner = 1,
): Step[] => (at.d.dweight || at.d.dbias ? [mergeGradients(at, role, slots, inner)] : []);

/** Statistics in one binding, where residual and dresidual take two. */
function packed(at: At): Step[] {
  if (at.d.residual !== 'after') return [];
  at.need('statistics', 16 * setCount(at.g));
  return [packStatistics(at)];
}
