/** Predictions for all rows of the bench on some devices, from what the lab left under bench/lab. */
import { readFileSync } from 'node:fs';
import { NormError } from '../../src/kernels.ts';
import { benchRows, rowName } from '../rows.ts';
import { LabKernels } from './code.ts';
import { devices, devicesNamed, type ModelDevice } from './devices.ts';
import type { Predictions } from './report.ts';
import { predictRow, type RowPrediction } from './rows.ts';

export { page, text } from './report.ts';

/** Whose compiler shows how often a thread waits for memory. */
const tripsTarget = 'navi31';

/**
 * @param name - a device, a class of devices, or `all`.
 * @param folder - where the lab's results are.
 * @param words - only rows whose name contains all of them.
 * @throws Error where there is no such device, or no row of that name.
 */
export function predictAll(
  name: string,
  folder: string,
  words: readonly string[] = [],
): Map<string, Predictions> {
  const rows = benchRows(true).filter((row) => words.every((word) => rowName(row).includes(word)));
  if (rows.length === 0) throw new Error(`No row's name contains all of: ${words.join(' ')}`);
  const read = (target: string) =>
    new LabKernels(JSON.parse(readFileSync(`${folder}/${target}.json`, 'utf8')));
  const amd = read(tripsTarget);
  return new Map(
    devicesNamed(name).map((id) => {
      const device = devices[id] as ModelDevice;
      const own = device.target === tripsTarget ? amd : read(device.target);
      const predicted: RowPrediction[] = [];
      const notRun: string[] = [];
      for (const row of rows) {
        try {
          predicted.push(predictRow(row, { device, own, amd }));
        } catch (error) {
          if (!(error instanceof NormError && error.code === 'limit')) throw error;
          notRun.push(rowName(row));
        }
      }
      return [id, { device, rows: predicted, notRun }];
    }),
  );
}
