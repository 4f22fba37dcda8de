import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';
import { byteSize } from '../gpu/tensor.ts';
import { chunksOf } from '../plan/chunks.ts';
import { elementCount, setCount } from '../plan/geometry.ts';
import { scheduleBackward } from '../plan/schedule.ts';
import {
  type At,
  channelApply,
  channelSums,
  columns,
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
import { parameterBytes, partialsOf, partOf } from './parts.ts';

/**
 * The dispatches of a backward pass. Roles: x, dy, dsum, weight, bias, residual, mean, rstd in; dx, dweight, dbias,
 * dresidual out; dz is dresidual, read.
 */
export function backwardProgram(d: BackwardDescriptor, facts: DeviceFacts): Program {
  const { geometry, stage } = d;
  if (elementCount(geometry) === 0) {
    if (stage === 'local') return { steps: [], scratch: {} };
    // The gradients of nothing are zeros: a sum over no slots.
    const gradients = { workgroup: 64, lanes: 1, reduction: 'serial' } as const;
    const wanted = (d.dweight || d.dbias) && geometry.channels > 0;
    return {
      steps: wanted ? [mergeGradients(d, gradients, 0, 1, 'gradients', d.accumulate, facts)] : [],
      scratch: { gradients: 8 },
    };
  }
  // Frozen statistics and those of replicas are a matter of the merge, and dresidual one of the first pass of two: a split
  // has both.
  const after = d.residual === 'after';
  const options = d.frozen || after || stage ? { ...d.schedule, strategy: 'split' as const } : d.schedule;
  const schedule = scheduleBackward(geometry, facts, options);
  // Where weight belongs to a channel, the sums over a channel's elements serve dweight, dbias and dx alike.
  const perChannel = schedule.columns || geometry.inner > 1;
  const partials = partialsOf(geometry, schedule);
  const partialBytes = 8 * partials.slots * geometry.channels * partials.inner; // per sample
  const sumBytes = 16 * geometry.groups;
  const chunks = chunksOf(
    geometry,
    byteSize(d.dtype),
    [sumBytes, ...(perChannel ? [partialBytes] : [])],
    { ...parameterBytes(d), ...(perChannel ? {} : { 'A row of dweight and dbias': 8 * geometry.channels }) },
    facts,
  );
  const steps: Step[] = [];
  const scratch: Record<string, number> = {};
  const need = (role: string, bytes: number) => {
    scratch[role] = Math.max(scratch[role] ?? 0, bytes);
  };

  for (const [index, chunk] of chunks.entries()) {
    const part = partOf(d, chunk, facts);
    const at: At = { d, schedule, facts, ...part, upstream: 'dy' };
    if (stage === 'joined') at.params = { ...at.params, count: d.total ?? 0 };
    const sums = 16 * setCount(part.g);
    // Later parts add to what the first one wrote.
    const accumulate = index > 0 ? { dweight: true, dbias: true } : d.accumulate;
    const wanted = d.dweight || d.dbias;
    if (perChannel) {
      const slots = chunk.samples * partials.slots;
      if (stage !== 'joined') need('partials', chunk.samples * partialBytes);
      if (schedule.strategy !== 'split') {
        steps.push(onePassPerChannel(at));
      } else {
        if (stage !== 'joined') {
          if (after) {
            need('statistics', sums);
            steps.push(packStatistics(at));
          }
          steps.push((schedule.columns ? channelSums : runSums)(at));
        }
        if (stage === 'local') {
          const own = { ...d, paramDtype: 'f32', dweight: true, dbias: true } as const;
          const fresh = { dweight: false, dbias: false };
          steps.push(
            mergeGradients(own, schedule.gradients, slots, partials.inner, 'partials', fresh, facts),
          );
          continue;
        }
        need('sums', sums);
        // The sums of all replicas are as one slot.
        const joined = stage === 'joined' ? { width: geometry.channels, slots: 1, inner: 1 } : undefined;
        steps.push(mergeSums(at, true, joined));
        steps.push((schedule.columns ? channelApply : runApply)(withStoredUpstream(at)));
        if (joined) {
          if (wanted) steps.push(mergeGradients(d, schedule.gradients, 1, 1, 'gradients', accumulate, facts));
          continue;
        }
      }
      if (wanted) {
        const { gradients } = schedule;
        steps.push(mergeGradients(d, gradients, slots, partials.inner, 'partials', accumulate, facts));
      }
      continue;
    }
    const slots = slotsOfChunk(schedule, chunk, geometry);
    if (schedule.strategy === 'tile') {
      steps.push(onePassPerRow(at, slots));
    } else {
      need('partials', 8 * setCount(part.g) * schedule.slots);
      need('sums', sums);
      if (after) {
        need('statistics', sums);
        steps.push(packStatistics(at));
      }
      steps.push(runSums(at), mergeSums(at, false), columns(withStoredUpstream(at), slots));
    }
    need('gradients', 8 * slots * geometry.channels);
    if (wanted) steps.push(mergeGradients(d, schedule.gradients, slots, 1, 'gradients', accumulate, facts));
  }
  return { steps, scratch };
}
