// A line per kernel: what its compiler said, what stands in its assembly, and which of the target's bounds it breaks.
import * as adreno from './isa/adreno.mjs';
import * as amd from './isa/amd.mjs';
import * as apple from './isa/apple.mjs';
import * as intel from './isa/intel.mjs';
import * as nvidia from './isa/nvidia.mjs';
import { counted } from './listing.mjs';
import { loadsAtOnce } from './targets.mjs';

const isas = { adreno, amd, apple, intel, nvidia };

/**
 * The figures are whatever the compiler told, under the names of the columns.
 *
 * @typedef {{ id: string, family: string, variant: string, example: string, rows: number, uses: number, error?: string, breaks: string[] }
 *   & Record<string, any>} Line
 */

/**
 * @param {import('./targets.mjs').Target} target
 * @param {import('./compile.mjs').Outcome} outcome
 * @returns {Line[]} by family and variant
 */
export function judged(target, { adapter, kernels }) {
  const lines = kernels.map((kernel) => lineOf(target, adapter, kernel));
  const name = ({ family, variant, id }) => `${family} ${variant} ${id}`;
  return lines.sort((a, b) => (name(a) < name(b) ? -1 : 1));
}

/** @param {import('./targets.mjs').Target} target @param {Record<string, unknown>} adapter @param {import('./compile.mjs').Compiled} kernel */
function lineOf(target, adapter, kernel) {
  const { id, family, variant, rows, uses, example, error, executables, shared } = kernel;
  const named = { id, family, variant, rows, uses, example };
  const [executable] = executables;
  if (error || !executable) {
    const why = error ?? 'The driver says nothing of it.';
    return { ...named, error: why, breaks: [`does not compile: ${why.split('\n')[0]}`] };
  }
  const isa = isas[target.isa];
  const line = {
    ...named,
    threads: executable.subgroupSize,
    shared,
    ...isa.figures(executable, adapter),
    ...(isa.listing ? counted(isa.listing(executable.assembly), kernel) : {}),
  };
  return { ...line, breaks: broken(line, target.bounds) };
}

/** @param {Record<string, any>} line @param {import('./targets.mjs').Bounds} bounds */
function broken(line, { most, least }) {
  const floor = loadsAtOnce.includes(line.family) ? 0.5 : 1;
  const told = (name) => (typeof line[name] === 'number' ? Number(line[name]) : undefined);
  return [
    ...Object.entries(most).flatMap(([name, bound]) =>
      (told(name) ?? bound) > bound ? [`${name} ${told(name)}`] : [],
    ),
    ...Object.entries(least).flatMap(([name, bound]) =>
      (told(name) ?? bound) < floor * bound ? [`${name} ${told(name)} < ${floor * bound}`] : [],
    ),
  ];
}
