import affineCarried from '../../shaders/interfaces/affine/carried.wgsl';
import sourceMerged from '../../shaders/interfaces/source/merged.wgsl';
import sourceSaved from '../../shaders/interfaces/source/saved.wgsl';
import moments from '../../shaders/interfaces/statistics/moments.wgsl';
import deviations from '../../shaders/interfaces/tracking/deviations.wgsl';
import instances from '../../shaders/interfaces/tracking/instances.wgsl';
import update from '../../shaders/interfaces/tracking/update.wgsl';
import columnsApply from '../../shaders/kernels/channels/apply.wgsl';
import columnsStatistics from '../../shaders/kernels/channels/statistics.wgsl';
import countBatch from '../../shaders/kernels/merge/count.wgsl';
import frozen from '../../shaders/kernels/merge/frozen.wgsl';
import joinInstances from '../../shaders/kernels/merge/instances.wgsl';
import joined from '../../shaders/kernels/merge/joined.wgsl';
import joinStatistics from '../../shaders/kernels/merge/statistics.wgsl';
import rowsApply from '../../shaders/kernels/rows/apply.wgsl';
import registers from '../../shaders/kernels/rows/forward_registers.wgsl';
import stream from '../../shaders/kernels/rows/forward_stream.wgsl';
import thread from '../../shaders/kernels/rows/forward_thread.wgsl';
import rowsStatistics from '../../shaders/kernels/rows/statistics.wgsl';
import { byteSize } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';
import { bindableBytes, stretchesOf } from '../plan/chunks.ts';
import { elementCount, setCount, setSize } from '../plan/geometry.ts';
import { scheduleForward, scheduleRowForward } from '../plan/schedule.ts';
import { type ForwardSchedule, quadsOf } from '../plan/strategy.ts';
import type { Choices } from '../shaders/link.ts';
import type { ShaderModule } from '../shaders/module.ts';
import type { ForwardDescriptor } from './descriptor.ts';
import {
  alone,
  applyColumns,
  applyMerging,
  applySegments,
  blockOf,
  channelSegments,
  checkParameterBytes,
  dispatch,
  holdsWhole,
  inParts,
  mergeNumbers,
  normChoices,
  oneByOne,
  type Pass,
  type Plan,
  partFrom,
  partialsOf,
  partOf,
  passOf,
  setSegments,
  sumColumns,
  sumSegments,
  widestOf,
} from './pass.ts';

type ForwardPlan = Plan<ForwardDescriptor, ForwardSchedule>;
type At = Pass<ForwardDescriptor, ForwardSchedule>;

/**
 * The dispatches of a forward pass where every column of a row has a weight: LayerNorm, RMSNorm. Roles: x, residual,
 * weight, bias in; y, sum, mean, rstd out. Where nobody asks for mean and rstd, a split has them as scratch.
 *
 * @param statistics - the shader of the norm's statistic.
 */
export function rowForward(d: ForwardDescriptor, facts: DeviceFacts, statistics: ShaderModule): Program {
  if (elementCount(d.geometry) === 0) return { steps: [], scratch: {} };
  const schedule = scheduleRowForward(d.geometry, facts, d.schedule, byteSize(d.dtype));
  const plan = { d, schedule, segmentsOf: setSegments, facts, choices: forwardChoices(d, facts, statistics) };
  if (schedule.strategy !== 'split') return inParts(plan, [], {}, (at) => [onePass(at)]);
  const bytes = 16 * schedule.splits * d.geometry.groups;
  const { steps, scratch } = inParts(plan, [bytes], {}, (at, need) => {
    need('partials', at.g.samples * bytes);
    const sums = sumRows(at);
    const merging = mergeAndApplyRows(at);
    return merging ? [sums, merging] : [sums, mergeStatistics(at), applyRows(at)];
  });
  return { steps, scratch: { ...scratch, ...unrequestedStatistics(d, steps) } };
}

/**
 * The dispatch, or one for each part of x, of rows that have no statistics but alpha: tanh. Roles: those of rowForward, and alpha.
 *
 * @param saturation - the shader of tanh.
 */
export function saturatedForward(
  d: ForwardDescriptor,
  facts: DeviceFacts,
  saturation: ShaderModule,
): Program {
  if (elementCount(d.geometry) === 0) return { steps: [], scratch: {} };
  const schedule = scheduleRowForward(d.geometry, facts, splitted(d), byteSize(d.dtype));
  const choices = { ...normChoices(d, facts), saturation };
  const plan = { d, schedule, segmentsOf: setSegments, facts, choices };
  return inParts(plan, [], {}, (at) => [applyRows(at)]);
}

const splitted = ({ schedule }: ForwardDescriptor) => ({ ...schedule, strategy: 'split' as const });

/** The dispatches of any forward pass. Roles: those of {@link rowForward}, and of running statistics. */
export function forwardProgram(d: ForwardDescriptor, facts: DeviceFacts): Program {
  const { geometry, running, stage } = d;
  const part = partOf(d, { firstSample: 0, samples: geometry.samples }, facts);
  const choices = forwardChoices(d, facts, moments);
  const whole = { d, facts, ...part, choices };
  const given = running === 'frozen' || stage === 'joined';
  const before: Step[] = [];
  if (countsBefore(d)) before.push(count(whole));
  if (stage === 'joined') before.push(joinedStatistics(whole));
  // Those of evaluation do not come from x: they are there where x is empty, too.
  if (running === 'frozen' && setCount(geometry) > 0) before.push(frozenStatistics(whole));
  if (elementCount(geometry) === 0) return { steps: before, scratch: unrequestedStatistics(d, before) };
  // Running statistics, those of replicas, and variances are a matter of the merge, which only a split has.
  const options = running || stage || d.variance ? { ...d.schedule, strategy: 'split' as const } : d.schedule;
  const schedule = scheduleForward(geometry, facts, options, byteSize(d.dtype));
  const segmentsOf = geometry.inner > 1 ? channelSegments : setSegments;
  const plan = { d, schedule, segmentsOf, facts, choices };
  if (given) {
    const steps = [...before, ...applyGiven(plan)];
    return { steps, scratch: unrequestedStatistics(d, steps) };
  }
  const split = schedule.strategy === 'split';
  const partials = partialsOf(geometry, schedule);
  const partialBytes = split ? 16 * partials.splits * partials.width : 0;
  const instanceBytes = tracksInstances(d) ? 8 * geometry.groups : 0;
  // Where a merging pass has no bindings left for weight and bias, these ride behind the partials: of BatchNorm, which is one sample.
  const carries = split && schedule.mergesInApply && running === 'update' && geometry.samples === 1;
  const carriedBytes = carries ? 16 * geometry.channels : 0;
  const scratchBytes = [partialBytes + carriedBytes, instanceBytes];
  const { steps, scratch } = inParts(plan, scratchBytes, {}, (at, need, index) => {
    if (!split) return [onePass(at)];
    if (instanceBytes > 0) need('instances', at.g.samples * instanceBytes);
    const tracking = trackingChoices(d);
    const joins = instanceBytes > 0 ? [mergeInstances(at)] : [];
    const carried = carries ? (at.g.samples * partialBytes) / 16 : undefined;
    const merging = schedule.columns || stage ? undefined : mergeAndApplyRows(at, tracking, carried);
    need('partials', at.g.samples * partialBytes + (merging ? carriedBytes : 0));
    const choices = { COUNTS: countsInSums(d) && index === 0, CARRIES: carries && merging !== undefined };
    if (schedule.columns) {
      const sums = sumColumns(at, columnsStatistics, 64, choices);
      const apply = stage === 'local' ? [] : [applyColumns(at, columnsApply)];
      return [sums, mergeStatistics(at, tracking), ...joins, ...apply];
    }
    const sums = sumRows(at, choices, { carried: carried ?? 0 });
    if (merging) return [sums, merging, ...joins];
    const apply = stage === 'local' ? [] : [applyRows(at)];
    return [sums, mergeStatistics(at, tracking), ...joins, ...apply];
  });
  // The merge writes rstd even where no later stage reads it.
  if (stage === 'local') scratch.rstd = 4 * setCount(geometry);
  return {
    steps: [...before, ...steps],
    scratch: { ...scratch, ...unrequestedStatistics(d, steps) },
  };
}

/** Scratch for the statistics of all sets, which one dispatch leaves to another, where nobody asks for them. */
function unrequestedStatistics(d: ForwardDescriptor, steps: readonly Step[]): Record<string, number> {
  const bound = (name: string) =>
    steps.some(({ kernel }) => kernel.bindings.some(({ role }) => role === name));
  const sets = d.statistics === false ? setCount(d.geometry) : 0;
  return {
    ...(sets > 0 && bound('mean') ? { mean: 8 * sets } : {}),
    ...(sets > 0 && bound('rstd') ? { rstd: 4 * sets } : {}),
  };
}

/** y where the statistics are given, element by element: x is cut wherever a binding ends. */
function applyGiven(plan: ForwardPlan): Step[] {
  const { d, schedule, segmentsOf, facts } = plan;
  const { geometry } = d;
  checkParameterBytes(d, facts);
  const { elementBytes: bytes, facts: limits } = widestOf(d, facts);
  if (!schedule.columns) {
    const segments = segmentsOf(geometry, schedule.vec4);
    return stretchesOf(segments.count, segments.cols, bytes, limits).map(
      ({ segment, count, cols, first }) => {
        const { numbers, ...part } = partFrom(d, geometry, first, count * cols, facts);
        const stretch = { ...part, numbers: { ...numbers, first_segment: segment } };
        return applyRows(passOf(plan, stretch, { ...segments, count, cols }));
      },
    );
  }
  // Threads own columns of whole positions, of one sample after the other where one does not fit a binding.
  const { samples, positions, groups } = geometry;
  const { positionsPerRow } = schedule;
  const all = elementCount(geometry);
  const apart = all * bytes > bindableBytes(bytes, facts);
  const each = apart ? { ...geometry, samples: 1 } : geometry;
  const length = (positionsPerRow * all) / (samples * positions);
  const stretches = stretchesOf((each.samples * positions) / positionsPerRow, length, bytes, limits, true);
  return Array.from({ length: samples / each.samples }, (_, sample) =>
    stretches.map(({ count, first }) => {
      const g = apart ? { ...each, positions: count * positionsPerRow } : each;
      const { numbers, ...part } = partFrom(d, g, (sample * all) / samples + first, count * length, facts);
      return applyColumns(
        passOf(plan, { ...part, numbers: { ...numbers, first_set: sample * groups } }),
        columnsApply,
      );
    }),
  ).flat();
}

/** What every kernel of a forward pass may ask for. */
export const forwardChoices = (
  d: ForwardDescriptor,
  facts: DeviceFacts,
  statistics: ShaderModule,
): Choices => ({
  ...normChoices(d, facts),
  statistics,
  SAVES: d.statistics !== false,
});

/** Whether running statistics are updated with those of several instances (InstanceNorm). */
const tracksInstances = ({ running, geometry }: ForwardDescriptor): boolean =>
  running === 'update' && geometry.samples > 1;

/** What becomes of a set's statistics beside mean and rstd. */
function trackingChoices(d: ForwardDescriptor): Choices {
  const HAS_VARIANCE = d.variance === true;
  if (d.stage === 'local') return { TRACKS: true, tracking: deviations, HAS_VARIANCE };
  if (d.running !== 'update') return { HAS_VARIANCE };
  return {
    TRACKS: true,
    tracking: tracksInstances(d) ? instances : update,
    HAS_VARIANCE,
    CORRECTION: d.biased ? 0 : 1,
    CUMULATIVE: d.momentum === null,
    COUNTS: countsInJoined(d),
  };
}

const counts = ({ running, counted }: ForwardDescriptor): boolean => running === 'update' && counted === true;

/** Whether the first pass over x counts the batch. */
const countsInSums = (d: ForwardDescriptor): boolean => counts(d) && !d.stage && elementCount(d.geometry) > 0;

/**
 * Whether the dispatch that moves the running statistics by those of all replicas counts the batch, too. Where they are averages of all
 * batches each of its threads reads the count, which is then made before.
 */
const countsInJoined = (d: ForwardDescriptor): boolean =>
  counts(d) && d.stage === 'joined' && d.momentum !== null;

/** Whether a dispatch of its own counts the batch. */
const countsBefore = (d: ForwardDescriptor): boolean => counts(d) && !countsInSums(d) && !countsInJoined(d);

type Whole = Pick<At, 'd' | 'g' | 'numbers' | 'ranges' | 'facts' | 'choices'>;

/** One batch more. */
const count = (at: Whole): Step => dispatch(at, countBatch, { team: { ...alone, workgroup: 1 }, workers: 1 });

/** mean and rstd from the running statistics. */
const frozenStatistics = (at: Whole): Step => dispatch(at, frozen, { workers: setCount(at.g) });

/** mean and rstd, and the running statistics, from the statistics of all replicas. */
const joinedStatistics = (at: Whole): Step =>
  dispatch(at, joined, {
    choices: trackingChoices(at.d),
    numbers: { count: at.d.total ?? 0, momentum: at.d.momentum ?? 0 },
    workers: at.g.channels,
  });

/** The running statistics from those of some instances, which stand for their share of the batch. */
const mergeInstances = (at: Whole): Step =>
  dispatch(at, joinInstances, {
    choices: { FIRST: at.numbers.first_set === 0 },
    numbers: {
      count: at.d.geometry.samples,
      momentum: at.d.momentum ?? 0,
      block: blockOf(at.g.samples),
    },
    workers: at.g.channels,
  });

/** Partial statistics of segments. Those of LayerNorm hold much beside the quads that are under way. */
const sumRows = (at: At, choices: Choices = {}, numbers: At['numbers'] = {}): Step =>
  sumSegments(
    at,
    rowsStatistics,
    16,
    1,
    1,
    { ...choices, ...oneByOne(at, at.d.kind === 'moments') },
    numbers,
  );

const onePassKernels = { thread, registers, workgroup: stream } as const;

/** Statistics and y in one dispatch. */
function onePass(at: At): Step {
  const { d, g, segments, schedule } = at;
  const { strategy, team, items } = schedule;
  // A thread of four rows may have the last one twice, which is written only once where it is no longer there to be read.
  const fourRows = schedule.fourRows && !d.aliases;
  const rows = setCount(g);
  const cols = setSize(g);
  const chunks = Math.ceil(quadsOf(cols) / team.lanes / 16);
  const serial = strategy === 'thread';
  const short = { ONE_CHUNK: serial && chunks === 1, BLOCKS: !serial || chunks > 4 };
  return dispatch(at, onePassKernels[strategy as keyof typeof onePassKernels], {
    choices: {
      ...segments.setChoices,
      ...oneByOne(at, at.d.kind === 'moments'),
      ...short,
      FOUR_ROWS: fourRows,
      ITEMS: items,
      WHOLE: holdsWhole(cols, schedule),
    },
    numbers: { rows, cols, block: blockOf(chunks) },
    team,
    workers: fourRows ? Math.ceil(rows / 4) : rows,
  });
}

/** @param tracking - absent for norms without running statistics, so that what tracks stays out of their bundles. */
function mergeStatistics(at: At, tracking: Choices = {}): Step {
  const { d, g, schedule } = at;
  const { merge } = schedule;
  return dispatch(at, joinStatistics, {
    choices: tracking,
    numbers: { ...mergeNumbers(at, merge.lanes), momentum: d.momentum ?? 0 },
    team: merge,
    workers: setCount(g),
  });
}

/** What is applied: x, or the sum with a residual that was stored with the statistics. */
const appliedTo = ({ d }: At, choices: Choices) =>
  d.residual === 'before'
    ? { choices: { ...choices, ADDS_RESIDUAL: false, X_IS_Y: false, X_IS_SUM: false }, sources: { x: 'sum' } }
    : { choices };

/** y of rows. */
const applyRows = (at: At): Step =>
  applySegments(at, rowsApply, {
    ...appliedTo(at, { source: sourceSaved }),
  });

/**
 * Statistics of rows from their partials, and y, in one dispatch, if that may be.
 *
 * @param tracking - as in {@link mergeStatistics}.
 * @param carried - where weight and bias are behind the partials.
 */
function mergeAndApplyRows(at: At, tracking: Choices = {}, carried?: number): Step | undefined {
  const { d } = at;
  const choices = {
    source: sourceMerged,
    ...tracking,
    // Running statistics of several instances are made of what is saved.
    ...(tracksInstances(d) ? { SAVES: true } : {}),
    ...(carried === undefined ? {} : { affine: affineCarried }),
  };
  const numbers = { momentum: d.momentum ?? 0, carried: carried ?? 0 };
  return applyMerging(at, rowsApply, { ...appliedTo(at, choices), numbers });
}
