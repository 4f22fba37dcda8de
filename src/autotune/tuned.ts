// What autotune found, by shape class: in memory, and in a storage that outlives the program.
import { checkContext } from '../gpu/check-context.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Program } from '../gpu/program.ts';
import { scratchBytes } from '../gpu/program.ts';
import { byteSize } from '../gpu/tensor.ts';
import type { BackwardDescriptor, ForwardDescriptor } from '../kernels/descriptor.ts';
import { chooseBy } from '../ops/programs.ts';
import { setCount, setSize } from '../plan/geometry.ts';
import { checkSchedule, familyOf, type ScheduleOptions } from '../plan/strategy.ts';
import { workspaceCap } from '../plan/workspace.ts';
import { version } from '../version.ts';

/** Where choices are kept: localStorage is one, and `fileStorage` of `webgpu-norm/node`. */
export interface TuningStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** What {@link loadTuned} found. */
export interface LoadedTuning {
  /** Choices that later calls use. */
  loaded: number;
  /** What could not be used, and why: the defaults hold there. */
  problems: string[];
}

/** A schedule by shape class; null where the default was the best. */
type Found = Map<string, ScheduleOptions | null>;

const known = new WeakMap<Gpu, Found>();

/**
 * Which calls share a choice: those of one pass, family (rows, planes, columns), statistic, dtype and epilogue whose sets are as
 * many and as long to the nearest power of two, and divide by four alike.
 *
 * @internal
 */
export function classOf(
  direction: 'forward' | 'backward',
  d: ForwardDescriptor | BackwardDescriptor,
  facts: DeviceFacts,
): string {
  const { geometry, kind, dtype, yDtype, residual, gated, activation } = d;
  const { positions, channels, inner, groups } = geometry;
  const bucket = (value: number) => Math.round(Math.log2(Math.max(1, value)));
  const family = familyOf(geometry, facts, byteSize(dtype));
  // What neighbouring threads share: a row, a plane, a row of columns.
  const run = inner > 1 ? inner : family === 'rows' ? setSize(geometry) : channels;
  return [
    direction,
    family,
    kind,
    yDtype ? `${dtype} to ${yDtype}` : dtype,
    gated ? 'gate' : residual,
    activation === 'none' ? 'plain' : 'activated',
    'frozen' in d && d.frozen ? 'frozen' : 'running' in d && d.running ? d.running : 'own',
    'dweight' in d && !d.dweight && !d.dbias ? 'dx' : 'all',
    run % 4 === 0 ? 'quads' : 'elements',
    `sets ${bucket(setCount(geometry))}`,
    `size ${bucket(setSize(geometry))}`,
    `run ${bucket(run)}`,
    `positions ${bucket(positions)}`,
    `groups ${bucket(groups)}`,
  ].join(' ');
}

/** @internal The choices of a context, which its calls use from now on. */
export function foundOf(gpu: Gpu): Found {
  const found = known.get(gpu) ?? new Map();
  known.set(gpu, found);
  return found;
}

/** @internal Has calls use the choices as they are now. */
export function useFound(gpu: Gpu): void {
  const found = foundOf(gpu);
  const { facts } = gpu;
  const choose = <D extends ForwardDescriptor | BackwardDescriptor>(
    direction: 'forward' | 'backward',
    d: D,
    make: (tuned: D, facts: DeviceFacts) => Program,
  ) => {
    if (Object.values(d.schedule).some((value) => value !== undefined) || d.stage) return undefined;
    const schedule = found.get(classOf(direction, d, facts));
    if (!schedule) return undefined;
    try {
      checkSchedule(d.geometry, direction, facts, schedule);
      const program = make({ ...d, schedule }, facts);
      const cap = workspaceCap(d.geometry, byteSize(d.dtype), facts);
      return scratchBytes(program) <= cap ? program : undefined;
    } catch {
      return undefined; // another shape of the class could have it
    }
  };
  chooseBy(gpu, {
    forward: (call, d) => choose('forward', d, call.forward),
    backward: (call, d) => choose('backward', d, call.backward),
  });
}

/** The key that choices are stored under: they hold for one adapter and one version of this package. */
function keyOf({ adapterInfo, facts }: Gpu): string {
  const { vendor, architecture, device, description } = adapterInfo ?? {};
  const words = [vendor, architecture, device, description].filter((word) => word);
  return `webgpu-norm ${version} ${words.join(' ') || 'adapter'} ${facts.subgroup}`;
}

const fields: Record<keyof ScheduleOptions, (value: unknown) => boolean> = {
  strategy: (value) => ['thread', 'registers', 'workgroup', 'split'].includes(value as string),
  reduction: (value) => value === 'portable' || value === 'subgroups',
  workgroup: Number.isInteger,
  lanes: Number.isInteger,
  splits: Number.isInteger,
  fourRows: (value) => typeof value === 'boolean',
  vec4: (value) => typeof value === 'boolean',
  batchInvariant: (value) => typeof value === 'boolean',
};

const isSchedule = (value: unknown): value is ScheduleOptions | null =>
  value === null ||
  (typeof value === 'object' &&
    !Array.isArray(value) &&
    Object.entries(value).every(([name, field]) => fields[name as keyof ScheduleOptions]?.(field)));

/** @internal What a storage has for this adapter and version. Never throws. */
export function readStored(gpu: Gpu, storage: TuningStorage): { stored: Found; problems: string[] } {
  const stored: Found = new Map();
  const problems: string[] = [];
  const key = keyOf(gpu);
  try {
    const text = storage.getItem(key);
    const entries: unknown = JSON.parse(text ?? '{}');
    if (typeof entries !== 'object' || entries === null || Array.isArray(entries)) {
      return { stored, problems: [`'${key}' holds no choices.`] };
    }
    for (const [name, value] of Object.entries(entries)) {
      if (isSchedule(value)) stored.set(name, value);
      else problems.push(`'${key}', '${name}' is no schedule.`);
    }
  } catch (error) {
    problems.push(`'${key}' could not be read: ${(error as Error).message}`);
  }
  return { stored, problems };
}

/** @internal Adds a choice to a storage. Never throws; says what went wrong. */
export function store(
  gpu: Gpu,
  storage: TuningStorage,
  name: string,
  schedule: ScheduleOptions | null,
): string | undefined {
  const { stored } = readStored(gpu, storage);
  stored.set(name, schedule);
  try {
    storage.setItem(keyOf(gpu), JSON.stringify(Object.fromEntries(stored)));
    return undefined;
  } catch (error) {
    return `'${keyOf(gpu)}' could not be stored: ${(error as Error).message}`;
  }
}

/**
 * Has later calls use what {@link autotune} found on this adapter with this version of the package and left in a storage.
 * What cannot be read, or is no schedule, is left out and named among the problems; nothing is thrown.
 */
export function loadTuned(gpu: Gpu, storage: TuningStorage): LoadedTuning {
  checkContext(gpu);
  const { stored, problems } = readStored(gpu, storage);
  const found = foundOf(gpu);
  for (const [name, schedule] of stored) found.set(name, schedule);
  useFound(gpu);
  return { loaded: stored.size, problems };
}
