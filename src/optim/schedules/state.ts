// The dictionaries of schedules: PyTorch's names, and values that survive JSON but for infinities.
import { NormError } from '../../gpu/errors.ts';
import { shown } from '../../gpu/shown.ts';

/** The dictionary of a schedule, with PyTorch's names: `stepSize` is its `step_size`, `tMax` its `T_max`. */
export type ScheduleStateDict = Record<string, unknown>;

type Fields = Record<string, unknown>;

/** PyTorch's name of a field. Those of SGDR's paper, T_max, T_0, T_i, T_cur and T_mult, keep their capital letter. */
const torchName = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/^t_?(?=(max|0|i|cur|mult)$)/, 'T_');

/** A copy of the fields under PyTorch's names. Functions are null, as they are None in PyTorch's dictionaries. */
export function dictOf(fields: object): ScheduleStateDict {
  const copy = (value: unknown): unknown =>
    Array.isArray(value) ? value.map(copy) : typeof value === 'function' ? null : value;
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [torchName(name), copy(value)]));
}

/**
 * The fields with what a dictionary has of them; others of its entries are ignored, functions stay.
 *
 * @throws NormError `state` unless each is of the kind that it is here, and a list as long.
 */
export function loadedFields<Of extends object>(fields: Of, dict: ScheduleStateDict): Of {
  if (typeof dict !== 'object' || dict === null || Array.isArray(dict)) {
    throw new NormError(
      'state',
      `${shown(dict)} is no dictionary of a schedule.`,
      'Pass what stateDict() returned.',
    );
  }
  const entries = Object.entries(fields as Fields).map(([name, own]) => {
    const given = dict[torchName(name)];
    if (given === undefined || hasFunctions(own)) return [name, own];
    // JSON has no infinities, and makes null of them: the best value of a schedule that has seen none yet.
    if (given === null && (own === Number.POSITIVE_INFINITY || own === Number.NEGATIVE_INFINITY))
      return [name, own];
    if (!alike(given, own)) {
      throw new NormError(
        'state',
        `${torchName(name)} is ${shown(given)}; here it is ${shown(own)}.`,
        'Load what a schedule of the same kind, over as many parameter groups, returned.',
      );
    }
    return [name, Array.isArray(given) ? [...given] : given];
  });
  return Object.fromEntries(entries) as Of;
}

const hasFunctions = (value: unknown): boolean =>
  Array.isArray(value) && value.some((one) => typeof one === 'function');

/** Lists of numbers that a user chose, such as milestones, may have another length; see the checks of each schedule. */
const alike = (a: unknown, b: unknown): boolean =>
  Array.isArray(a) && Array.isArray(b)
    ? a.every((one) => typeof one === 'number')
    : typeof a === typeof b && Array.isArray(a) === Array.isArray(b) && a !== null;
