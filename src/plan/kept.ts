// Schedules where kept axes lie behind reduced ones: threads own columns, each of which is a set.
import type { DeviceFacts } from '../gpu/facts.ts';
import { type Geometry, setCount } from './geometry.ts';
import { plain } from './schedule.ts';
import {
  type BackwardSchedule,
  clamp,
  maxWorkgroup,
  powerOfTwoUp,
  quadsOf,
  type ScheduleOptions,
  type Team,
} from './strategy.ts';
import { mergeTeam, team } from './teams.ts';
import { workspaceBudget } from './workspace.ts';

/** Fours of columns that lie side by side in memory. */
export const keptQuads = (geometry: Geometry): number =>
  (setCount(geometry) / keptColumns(geometry)) * quadsOf(keptColumns(geometry));

/** Kept elements that lie side by side in memory. */
export const keptColumns = ({ channels, runs }: Geometry): number => runs?.kept.at(-1) ?? channels;

// Eight threads load 128 bytes that lie side by side.
const sideBySide = 8;
// Rows of a lane that are worth its start and its share of a merge.
const fewestRows = 4;
// Rows of a lane that are summed one after the other.
const longestChunk = 128;

/** Chooses how a pass in one direction runs: threads by themselves on a software adapter, lanes that share the rows of a column on a GPU. */
export function scheduleKept(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions = {},
  elementBytes = 4,
): BackwardSchedule {
  const { positions } = geometry;
  const quads = keptQuads(geometry);
  const vec4 = keptColumns(geometry) % 4 === 0 && options.vec4 !== false;
  const strategy =
    options.strategy ?? (facts.software && 2.2 * positions <= facts.iterations ? 'thread' : 'workgroup');
  const lanes = strategy === 'thread' ? 1 : lanesOf(quads, positions, facts, options);
  const side = clamp(powerOfTwoUp(quads), 1, sideBySide);
  const usual = facts.software ? 4 : clamp(lanes * side, 128, maxWorkgroup(facts));
  const made = team(facts, lanes, { workgroup: Math.max(usual, lanes), ...options });
  const fourRows = strategy === 'thread' && (options.fourRows ?? facts.software);
  const budget = Math.min(facts.maxBindingBytes, workspaceBudget(geometry, elementBytes, facts));
  // A partial takes eight bytes of each row. Where that is too much, rows come in ranges.
  const own = strategy === 'thread' ? made.workgroup : 1;
  const most = Math.max(1, Math.floor(budget / (8 * positions * own)));
  const wanted = options.splits === undefined ? facts.threads / made.workgroup : options.splits / own;
  const tiles = keptTiles(geometry, made, fourRows);
  const splits = Math.ceil(tiles / Math.ceil(tiles / clamp(Math.ceil(wanted), 1, Math.min(most, tiles))));
  return {
    ...plain,
    strategy,
    team: made,
    fourRows,
    vec4,
    splits,
    gradients: mergeTeam(facts, positions, splits * own, options),
    span: Math.min(positions, Math.max(1, Math.floor(budget / (8 * own)))),
  };
}

/** Pieces of work, each of a workgroup. */
export const keptTiles = (geometry: Geometry, { workgroup, lanes }: Team, fourRows: boolean): number =>
  Math.ceil(keptQuads(geometry) / ((workgroup / lanes) * (fourRows ? 4 : 1)));

/** So many lanes that a GPU is full, as long as each has some rows; on any adapter none has more rows than its driver runs. */
function lanesOf(quads: number, rows: number, facts: DeviceFacts, options: ScheduleOptions): number {
  if (options.lanes !== undefined) return options.lanes;
  const widest = options.workgroup ?? maxWorkgroup(facts);
  const needed = powerOfTwoUp((2.2 * rows) / facts.iterations);
  const most = Math.max(1, 2 ** Math.floor(Math.log2(Math.max(1, rows / fewestRows))));
  const wanted = facts.software ? 1 : Math.min(powerOfTwoUp(facts.threads / quads), most);
  return clamp(Math.max(wanted, needed), 1, widest);
}

/** Rows of a lane that are summed before they meet the others: all, or about the root of their number. */
export function keptChunk(rows: number, lanes: number): number {
  const each = Math.ceil(rows / lanes);
  return each <= longestChunk ? each : Math.max(64, Math.ceil(Math.sqrt(each)));
}
