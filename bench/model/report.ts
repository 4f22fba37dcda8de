/** The tables of predictions: what `npm run bench -- --model` prints, and bench/lab/model-<device>.md. */
import { elementsOf, type Row, rowName } from '../rows.ts';
import type { ModelDevice } from './devices.ts';
import type { DispatchPrediction, RowPrediction } from './rows.ts';

export interface Predictions {
  device: ModelDevice;
  rows: RowPrediction[];
  /** Rows with a tensor that the device does not hold. */
  notRun: string[];
}

const percent = (share: number): string => `${Math.round(100 * share)} %`;
const mebibytes = (bytes: number): string => (bytes < 2 ** 17 ? '0' : (bytes / 2 ** 20).toFixed(1));

/** Rows of which the bounds are to hold: x of 16 MiB and more. */
const isLarge = (row: Row): boolean => elementsOf(row) * (row.dtype === 'f16' ? 2 : 4) >= 2 ** 24;

/** The dispatches over x of large rows that are bound under the floor of the device. */
export function under({ device, rows }: Predictions): { row: RowPrediction; dispatch: DispatchPrediction }[] {
  return rows
    .filter(({ row }) => isLarge(row))
    .flatMap((row) => row.dispatches.map((dispatch) => ({ row, dispatch })))
    .filter(({ dispatch }) => dispatch.overX && dispatch.bound < device.floor);
}

/** How many rows and dispatches are under the floor, and a line for each kernel that is. */
export function summary(predictions: Predictions): string[] {
  const { device, rows } = predictions;
  const low = under(predictions);
  const groups = new Map<string, typeof low>();
  for (const one of low) {
    const key = `${one.dispatch.family}, ${one.row.row.dtype}: ${one.dispatch.limit}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const large = rows.filter(({ row }) => isLarge(row));
  const dispatches = large.flatMap((row) => row.dispatches).filter(({ overX }) => overX);
  const inexact = rows.flatMap((row) => row.dispatches).filter(({ exact }) => !exact).length;
  const all = rows.flatMap((row) => row.dispatches).length;
  const told = [...groups].map(([key, ones]) => {
    const bounds = ones.map(({ dispatch }) => dispatch.bound);
    const [least, most] = [Math.min(...bounds), Math.max(...bounds)];
    const worst = ones.find(({ dispatch }) => dispatch.bound === least);
    const range = ones.length > 1 ? `${percent(least)} to ${percent(most)} of` : `${percent(least)} of`;
    return `${key}, ${ones.length} dispatches bound at ${range} the bandwidth; the lowest is in ${worst?.row.name}`;
  });
  return [
    `Predicted for rows of 16 MiB and more: ${low.length} of ${dispatches.length} dispatches over x, in ` +
      `${new Set(low.map(({ row }) => row.name)).size} of ${large.length} rows, are bound under ${percent(device.floor)} of the bandwidth.`,
    `The lab has compiled the very text of ${all - inexact} of ${all} dispatches; of the others it has a kernel that is like it.`,
    ...told,
  ];
}

/** A row of both dtypes under one name. */
const withoutDtype = (row: Row): string => rowName(row).replace(/ f\d+$/, '');

/** `62 %, round trips`. */
const cell = (one: RowPrediction | undefined): string =>
  one ? `${percent(one.copyFraction)}, ${one.limit}` : '–';

/** The dispatch over x that is bound lowest. */
function lowest(one: RowPrediction | undefined): string {
  const [worst] = (one?.dispatches ?? []).filter(({ overX }) => overX).sort((a, b) => a.bound - b.bound);
  return worst ? `${percent(worst.bound)} ${worst.family}` : '–';
}

const columns = ['row', 'f32', 'f16', 'dispatches', 'scratch, MiB', 'lowest bound, f32', 'lowest bound, f16'];

/** Cells of the table, a line per row of the bench. */
export function cells({ rows }: Predictions): string[][] {
  const names = [...new Set(rows.map(({ row }) => withoutDtype(row)))];
  return names.map((name) => {
    const of = (dtype: string) =>
      rows.find((one) => one.row.dtype === dtype && withoutDtype(one.row) === name);
    const [f32, f16] = [of('f32'), of('f16')];
    const both = (say: (one: RowPrediction) => string) => [
      ...new Set([f32, f16].flatMap((one) => (one ? [say(one)] : []))),
    ];
    return [
      name,
      cell(f32),
      cell(f16),
      both(({ dispatches }) => `${dispatches.length}`).join(', '),
      both(({ scratch }) => mebibytes(scratch)).join(', '),
      lowest(f32),
      lowest(f16),
    ];
  });
}

/** The page of a device. */
export function page(predictions: Predictions): string {
  const { device, notRun } = predictions;
  return [
    `# Predicted, not measured: ${device.name}`,
    '',
    'What the model of docs/lab.md says of every row of the bench. Nothing here was run on this GPU.',
    'Made by `npm run bench -- --model all` from the kernels that the lab compiled.',
    '',
    ...summary(predictions).map((line, i) => (i < 2 ? `${line}\n` : `- ${line}`)),
    ...(notRun.length > 0
      ? ['', `Not predicted, since a tensor is larger than the device holds: ${notRun.join('; ')}.`]
      : []),
    '',
    'Shares of the speed of a copy, with what costs most beyond a copy; scratch; and the dispatch over x that is bound lowest, as a share of',
    'the bandwidth.',
    '',
    `| ${columns.join(' | ')} |`,
    `|${columns.map(() => '---|').join('')}`,
    ...cells(predictions).map((line) => `| ${line.join(' | ')} |`),
    '',
  ].join('\n');
}

/** The same for a terminal. */
export function text(predictions: Predictions): string {
  const { device, notRun } = predictions;
  const lines = [columns, ...cells(predictions)];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => (line[i] ?? '').length)));
  const table = lines.map((line) =>
    line
      .map((one, i) => one.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const missing = notRun.map((name) => `${name}: larger than the device holds`);
  return [`\n── Predicted, not measured: ${device.name}`, ...table, ...missing, ...summary(predictions)].join(
    '\n',
  );
}
