import { byteSize } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import { alignUp, type Program, type Step, scratchAlignment } from '../gpu/program.ts';
import type { Chunk } from '../plan/chunks.ts';
import { elementCount, parameterCount, setCount, setSize } from '../plan/geometry.ts';
import { longestSplit, rowGroupsOf, scheduleBackward, scheduleRowBackward } from '../plan/schedule.ts';
import type { BackwardSchedule, ScheduleOptions } from '../plan/strategy.ts';
import { workspaceBudget } from '../plan/workspace.ts';
import type { Choices } from '../shaders/link.ts';
import {
  type At,
  afterFirstPass,
  applyChannels,
  backwardChoices,
  collectGradients,
  columns,
  makesGradients,
  mergeAlpha,
  mergeAndApplyChannels,
  mergeGradients,
  mergeSums,
  onePassPerChannel,
  onePassPerRow,
  packStatistics,
  secondUpstream,
  splitsOfChunk,
  sumChannels,
  sumRows,
} from './backward-steps.ts';
import type { BackwardDescriptor } from './descriptor.ts';
import {
  alone,
  channelSegments,
  inParts,
  type Pass,
  partialsOf,
  partOf,
  setSegments,
  withinFloor,
} from './pass.ts';

/**
 * The dispatches of a backward pass where every column of a row has a weight: LayerNorm, RMSNorm. Roles: x, dy, dsum,
 * weight, bias, residual, mean, rstd in; dx, dweight, dbias, dresidual out.
 *
 * @param own - what its kernels are linked with beside what all are.
 */
export function rowBackward(d: BackwardDescriptor, facts: DeviceFacts, own: Choices = {}): Program {
  const { geometry } = d;
  if (elementCount(geometry) === 0) return ofNothing(d, facts);
  const schedule = scheduleRowBackward(geometry, facts, overrides(d), byteSize(d.dtype));
  const registers = schedule.strategy === 'registers';
  const any = d.dweight || d.dbias;
  // Splits belong to one group of columns each, where there are several: there are as many of every group.
  const { groups } = geometry;
  const whole = { first: 0, span: setSize(geometry) };
  const { gradientSplits } = schedule;
  const makes = !registers && makesGradients(d, gradientSplits * groups);
  // Where one split of a long row is too much scratch, its partials come in ranges, if there have to be any.
  const long = !registers && any && schedule.span < whole.span;
  const span = long && !makes ? schedule.span : whole.span;
  const gradients = any && !(long && makes) ? 8 * gradientSplits * groups * span : 0;
  const again = secondUpstream(d) === 'again';
  const sumBytes = makes || again ? 32 : 16;
  // Rows whose second pass merges their sums have mean and rstd behind those.
  const partBytes = 8 * schedule.splits + (schedule.mergesInApply ? 16 : 0);
  const setBytes = registers ? [] : [partBytes, sumBytes, d.residual === 'after' ? 16 : 0];
  const rowBytes = setBytes.map((bytes) => bytes * groups);
  const fixed = { 'The partials of dweight and dbias': gradients };
  const budget = workspaceBudget(geometry, byteSize(d.dtype), facts);
  const parts: [At, number][] = [];
  return partsOf(
    d,
    schedule,
    setSegments,
    facts,
    rowBytes,
    fixed,
    (at, index, chunks) => {
      const chunk = chunks[index] as Chunk;
      const head = chunks[0] as Chunk;
      const together = registers ? rowGroupsOf(schedule.team) : 1;
      const most = splitsOfChunk(head, gradientSplits, together);
      const splits = splitsOfChunk(chunk, most, together);
      // Parts add their partials up rather than round each. Where rows are too long for that, f32 gradients add up instead;
      // in f16 the sums of all parts come first, so that a range of columns can go through all parts before the next.
      const kept = alignUp(sumBytes * head.samples, scratchAlignment);
      const beside = budget - head.samples * (partBytes + 16);
      const shared =
        long && d.paramDtype !== 'f32' && chunks.length > 1
          ? Math.min(whole.span, sharedSpan(kept * chunks.length, beside, most, facts))
          : 0;
      const direct = makes && !shared && (long || chunks.length === 1);
      if (any && !direct) at.need('gradients', shared ? 8 * most * shared : gradients);
      const merged = () =>
        index === chunks.length - 1 && !direct
          ? mergeRequested({ ...at, accumulate: d.accumulate }, { role: 'gradients', splits: most })
          : [];
      if (registers) return [onePassPerRow(at, splits * groups, index > 0), ...merged()];
      const sets = setCount(at.g);
      const inOne = !shared && span === whole.span;
      const saturates = d.kind === 'tanh';
      if (inOne && !saturates && schedule.mergesInApply && sets <= splits * groups * longestSplit) {
        const carried = sets * schedule.splits;
        const [second, add] = [afterFirstPass(at), index > 0];
        const merging = withinFloor(columns(second, splits * groups, direct, add, whole, carried));
        if (merging) {
          at.need('partials', partBytes * sets);
          return [...packed(at), sumRows(at, carried), merging, ...merged()];
        }
      }
      at.need('partials', 8 * sets * schedule.splits);
      const size = shared ? kept : sumBytes * sets;
      const offset = shared ? index * size : 0;
      if (!saturates) at.need('sums', offset + size);
      const own = { ...at, ranges: { ...at.ranges, sums: { offset, size } } };
      const merge = saturates
        ? mergeAlpha(own, sets * schedule.splits, index > 0)
        : [mergeSums(own, false, undefined, direct || again)];
      const sums = [...packed(own), ...(merge.length > 0 ? [sumRows(own), ...merge] : [])];
      const second = afterFirstPass(own);
      if (inOne) {
        return [...sums, columns(second, splits * groups, direct, index > 0, whole), ...merged()];
      }
      parts.push([second, splits]);
      if (shared && index < chunks.length - 1) return sums;
      // Those of all parts, or this one's.
      const ready = parts.splice(0);
      const [[first, firstSplits]] = ready as [[At, number]];
      const each = shared || span;
      return [
        ...sums,
        ...Array.from({ length: Math.ceil(whole.span / each) }, (_, i) => {
          const range = { first: i * each, span: Math.min(each, whole.span - i * each) };
          return [
            ...ready.map(([part, splits], j) => columns(part, splits, false, j > 0, range)),
            ...mergeRequested(first, { role: 'gradients', splits: firstSplits, columns: range }),
          ];
        }).flat(),
      ];
    },
    own,
  );
}

/**
 * The columns, in whole pairs of quads, whose partials scratch can hold beside the sums of all parts. 0 where there is no
 * room, and each part rounds: never with WebGPU's floor of 128 MiB a binding, but with 64 KiB and hundreds of parts.
 */
function sharedSpan(sums: number, budget: number, splits: number, { maxBindingBytes }: DeviceFacts): number {
  if (sums > maxBindingBytes) return 0;
  return 8 * Math.max(0, Math.floor(Math.min(maxBindingBytes, budget - sums) / (64 * splits)));
}

/** The dispatches of any backward pass. Roles: those of {@link rowBackward}. */
export function backwardProgram(d: BackwardDescriptor, facts: DeviceFacts): Program {
  const { geometry, stage } = d;
  if (elementCount(geometry) === 0) {
    return stage === 'local' ? { steps: [], scratch: {} } : ofNothing(d, facts);
  }
  const schedule = scheduleBackward(geometry, facts, overrides(d), byteSize(d.dtype));
  // A single value of a replica is a row, too, but what all replicas have is per channel.
  if (!schedule.columns && geometry.inner === 1 && !stage) return rowBackward(d, facts);
  // Where weight belongs to a channel, the sums over a channel's elements serve dweight, dbias and dx alike.
  const { splits, inner } = partialsOf(geometry, schedule);
  const partialBytes = 8 * splits * geometry.channels * inner; // per sample
  const sumBytes = 16 * geometry.groups;
  const any = d.dweight || d.dbias;
  // A channel that is one set has its gradients from the sums of that. A pass that merges these has no bindings left for mean and rstd,
  // which then ride behind the partials.
  const together = !stage && any && geometry.samples === 1 && geometry.groups === geometry.channels;
  const carriedBytes = together && schedule.mergesInApply ? 16 * geometry.channels : 0;
  const bytes = [partialBytes + carriedBytes, sumBytes, d.residual === 'after' ? sumBytes : 0];
  // In f16 dweight and dbias would round once per part: the parts' sums then meet behind the partials.
  const sumsOfParts =
    d.paramDtype !== 'f32' ? { 'The sums of dweight and dbias': 8 * geometry.channels } : {};
  return partsOf(d, schedule, channelSegments, facts, bytes, sumsOfParts, (at, index, chunks) => {
    const { samples } = chunks[index] as Chunk;
    if (stage === 'joined') {
      const all = { ...at, numbers: { ...at.numbers, count: d.total ?? 0 } };
      at.need('sums', 16 * setCount(at.g));
      // The sums of all replicas are as one split.
      const sums = mergeSums(all, true, { width: geometry.channels, splits: 1 });
      const then = afterFirstPass(all);
      const before = then.upstream === 'again' ? packed(at) : [];
      return [...before, sums, applyChannels(then), ...mergeRequested(at, { role: 'gradients', splits: 1 })];
    }
    at.need('partials', samples * partialBytes);
    const own = { splits: samples * splits, inner };
    const behind = alignUp((chunks[0] as Chunk).samples * partialBytes, scratchAlignment);
    const collected = behind + 8 * geometry.channels;
    const collects = d.paramDtype !== 'f32' && chunks.length > 1 && collected <= facts.maxBindingBytes;
    const gradients = (of: At): Step[] => {
      if (!collects || !(d.dweight || d.dbias)) return mergeRequested(of, { role: 'partials', ...own });
      at.need('partials', collected);
      const last = index === chunks.length - 1;
      const all = { role: 'partials', offset: behind, splits: 1 } as const;
      return [
        collectGradients(at, own, behind, index > 0),
        ...(last ? mergeRequested({ ...at, accumulate: d.accumulate }, all) : []),
      ];
    };
    if (schedule.strategy !== 'split') return [onePassPerChannel(at), ...gradients(at)];
    if (stage === 'local') {
      const inF32 = { ...d, paramDtype: 'f32', dweight: true, dbias: true } as const;
      const accumulate = { dweight: false, dbias: false };
      return [...packed(at), sumChannels(at), ...gradients({ ...at, d: inF32, accumulate })];
    }
    const then = afterFirstPass(at);
    const later = together ? [] : gradients(at);
    const carried = carriedBytes > 0 ? partialBytes / 8 : undefined;
    const merging = mergeAndApplyChannels(then, together, carried);
    if (merging) {
      at.need('partials', samples * partialBytes + carriedBytes);
      return [...packed(at), sumChannels(at, carried), merging, ...later];
    }
    at.need('sums', 16 * setCount(at.g));
    const merged = mergeSums(at, true, partialsOf(at.g, schedule), false, together);
    return [...packed(at), sumChannels(at), merged, applyChannels(then), ...later];
  });
}

/**
 * Frozen statistics and those of replicas are a matter of the merge, and dresidual one of the first pass of two: a split
 * has both.
 */
const overrides = (d: BackwardDescriptor): ScheduleOptions =>
  d.frozen || d.residual === 'after' || d.stage || d.kind === 'tanh'
    ? { ...d.schedule, strategy: 'split' }
    : d.schedule;

/** The gradients of nothing are zeros: a sum over no splits. */
export function ofNothing(d: BackwardDescriptor, facts: DeviceFacts): Program {
  const { geometry, accumulate } = d;
  if (parameterCount(geometry) === 0 && !d.dalpha) return { steps: [], scratch: {} };
  const part = partOf(d, { firstSample: 0, samples: geometry.samples }, facts);
  const at = {
    d,
    facts,
    ...part,
    choices: backwardChoices(d, facts),
    accumulate,
    schedule: { gradients: alone },
  };
  const ofAlpha = mergeAlpha(at, 0, false);
  const others = parameterCount(geometry) > 0 ? mergeRequested(at, { role: 'gradients', splits: 0 }) : [];
  return {
    steps: [...ofAlpha, ...others],
    scratch: { gradients: 8, ...(ofAlpha.length > 0 && { partials: 8 }) },
  };
}

/** {@link inParts}, with what a backward pass has beside. Later parts add to what the first one wrote. */
export function partsOf(
  d: BackwardDescriptor,
  schedule: BackwardSchedule,
  segmentsOf: typeof setSegments,
  facts: DeviceFacts,
  sampleBytes: readonly number[],
  fixedBytes: Readonly<Record<string, number>>,
  stepsOf: (at: At, index: number, chunks: readonly Chunk[]) => Step[],
  own: Choices = {},
): Program {
  const plan = { d, schedule, segmentsOf, facts, choices: { ...backwardChoices(d, facts), ...own } };
  return inParts(
    plan,
    sampleBytes,
    fixedBytes,
    (pass: Pass<BackwardDescriptor, BackwardSchedule>, need, index, chunks) => {
      const accumulate = index > 0 ? { dweight: true, dbias: true } : d.accumulate;
      // With x̂ of length 1 the derivative has the sums of g·x̂ and not their means.
      const numbers = d.kind === 'l2' ? { ...pass.numbers, count: 1 } : pass.numbers;
      return stepsOf({ ...pass, numbers, accumulate, need, upstream: 'dy' }, index, chunks);
    },
  );
}

/** dweight and dbias, if any of them is requested. */
export const mergeRequested = (
  at: Parameters<typeof mergeGradients>[0],
  partials: Parameters<typeof mergeGradients>[1],
) => (at.d.dweight || at.d.dbias ? [mergeGradients(at, partials)] : []);

/** Statistics in one binding, where residual and dresidual take two. */
export function packed(at: At): Step[] {
  if (at.d.residual !== 'after') return [];
  at.need('statistics', 16 * setCount(at.g));
  return [packStatistics(at)];
}
