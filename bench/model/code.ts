/** What the lab's compilers made of a kernel (bench/lab/*.json), for the model. */
import type { CorpusKernel } from '../../scripts/lab/kernel.ts';
import type { Code } from './time.ts';

/** A file of the lab: its columns, and a line of values for each kernel. */
export interface LabResults {
  target: string;
  facts: Record<string, unknown>;
  columns: string[];
  kernels: unknown[][];
}

type Line = Record<string, unknown> & { id: string; family: string; variant: string };
type Kernel = Pick<CorpusKernel, 'id' | 'family' | 'variant'>;

/** The kernels of one target. */
export class LabKernels {
  readonly target: string;
  readonly facts: Record<string, unknown>;
  readonly #lines: Line[];
  readonly #byId: Map<string, Line>;

  constructor({ target, facts, columns, kernels }: LabResults) {
    this.target = target;
    this.facts = facts;
    this.#lines = kernels.map(
      (values) => Object.fromEntries(columns.map((name, i) => [name, values[i]])) as Line,
    );
    this.#byId = new Map(this.#lines.map((line) => [line.id, line]));
  }

  /**
   * The kernel of that text; or that of its family which is most like it, where the lab has not compiled this one: since its text has changed
   * since then, or since the target has no f16.
   */
  find(kernel: Kernel): { line: Line; exact: boolean } | undefined {
    const same = this.#byId.get(kernel.id);
    if (same) return { line: same, exact: true };
    let best: Line | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const line of this.#lines) {
      if (line.family !== kernel.family) continue;
      const distance = difference(line.variant, kernel.variant);
      if (distance < least) {
        least = distance;
        best = line;
      }
    }
    return best && { line: best, exact: false };
  }
}

/** What a variant's words say: `f16/f32 128/64 items 4 subgroups y` (scripts/lab/kernel.ts). */
function partsOf(variant: string) {
  const items = Number(/ items (\d+)/.exec(variant)?.[1] ?? 0);
  const [, workgroup = '1', lanes = '1'] = /(?:^| )(\d+)(?:\/(\d+))?(?: |$)/.exec(variant) ?? [];
  const types = /^(f\d\S*)/.exec(variant)?.[1] ?? '';
  const words = variant
    .replace(/ items \d+/, '')
    .split(' ')
    .filter((word) => !/^(\d+(\/\d+)?|f\d.*)$/.test(word));
  return { items, workgroup: Number(workgroup), lanes: Number(lanes), types, words: new Set(words) };
}

/** How unlike two kernels of a family are: in what they bind, then in what a thread holds, then in types and teams. */
function difference(one: string, other: string): number {
  const [a, b] = [partsOf(one), partsOf(other)];
  const bound =
    [...a.words].filter((word) => !b.words.has(word)).length +
    [...b.words].filter((word) => !a.words.has(word)).length;
  const teams = Math.abs(Math.log2(a.lanes / b.lanes)) + Math.abs(Math.log2(a.workgroup / b.workgroup));
  return 1000 * bound + 100 * Math.abs(a.items - b.items) + 10 * Number(a.types !== b.types) + teams;
}

/**
 * What the model wants to know of a kernel.
 *
 * @param own - of the device's target.
 * @param other - of AMD's, whose compiler shows round trips.
 * @returns undefined where the lab has no kernel of that family. `loaded`: bytes that a thread loads at a time; `exact`: whether the lab has
 * compiled this very text.
 */
export function codeOf(
  kernel: Pick<CorpusKernel, 'id' | 'family' | 'variant' | 'shared'>,
  own: LabKernels,
  other: LabKernels,
): { code: Code; loaded: number; exact: boolean } | undefined {
  const found = own.find(kernel);
  const trips = other.find(kernel);
  if (!found || !trips) return undefined;
  const [mine, theirs] = [found.line, trips.line];
  const instructions = numberOf(mine.instructions) ?? 0;
  // Of a compiler that shows no assembly: as large a part as the loop is elsewhere.
  const scale = instructions / (numberOf(theirs.instructions) ?? instructions);
  const elsewhere = numberOf(theirs.loopInstructions);
  const loop = 'loopInstructions' in mine ? numberOf(mine.loopInstructions) : elsewhere && elsewhere * scale;
  return {
    code: {
      occupancy: numberOf(mine.occupancy),
      wave: numberOf(mine.threads) ?? 32,
      shared: kernel.shared,
      instructions,
      loopInstructions: loop,
      trips: numberOf(mine.trips) ?? numberOf(theirs.trips) ?? 1,
      loopTrips: loop === null ? null : (numberOf(mine.loopTrips) ?? numberOf(theirs.loopTrips) ?? 1),
    },
    loaded: bytesOf(mine.loads ?? theirs.loads),
    exact: found.exact,
  };
}

/** `8×4 4×1`: what a thread loads at a time. */
const bytesOf = (widths: unknown): number =>
  String(widths ?? '')
    .split(' ')
    .reduce((sum, one) => sum + one.split('×').reduce((product, value) => product * Number(value), 1), 0);

const numberOf = (value: unknown): number | null => (typeof value === 'number' ? value : null);
