/**
 * Schedules that are measured on a device, and remembered.
 *
 * @packageDocumentation
 */
export {
  type Autotuned,
  type AutotuneOptions,
  type AutotuneProgress,
  autotune,
  type TriedSchedule,
} from './autotune.ts';
export { type LoadedTuning, loadTuned, type TuningStorage } from './tuned.ts';
