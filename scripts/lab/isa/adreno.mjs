// What Turnip's compiler (ir3) says of a shader, and what stands in its assembly.
import { loopsOf } from '../listing.mjs';

/** Occupancy in waves of a core. @param {import('../compile.mjs').Executable} executable */
export function figures({ statistics: s }) {
  return {
    registers: s['Registers used'],
    occupancy: s['Max Waves Per Core'],
    spills: Number(s['STP Count']) + Number(s['LDP Count']),
    instructions: s['Instruction Count'],
  };
}

/** @param {string} assembly @returns {import('../listing.mjs').Listing} */
export function listing(assembly) {
  /** @type {import('../listing.mjs').Instruction[]} */
  const code = [];
  /** @type {Map<string, number>} */
  const labels = new Map();
  const jumps = [];
  for (const line of assembly.split('\n')) {
    const label = /^(l\d+):/.exec(line)?.[1];
    if (label) labels.set(label, code.length);
    const [, name = '', rest = ''] = /^(?:\([^)]*\))*([a-z][\w.]*)(.*)/.exec(line.trim()) ?? [];
    if (!name || label || /^nop/.test(name)) continue;
    code.push(instruction(name, rest));
    const target = labels.get(/#(l\d+)/.exec(rest)?.[1] ?? '');
    if (target !== undefined) jumps.push({ from: target, to: code.length });
  }
  // A product's upper half is many instructions here, which other products have as well.
  return { code, loops: loopsOf(jumps), untold: ['divisions', 'allDivisions'] };
}

/** @param {string} name @param {string} operands @returns {import('../listing.mjs').Instruction} */
function instruction(name, operands) {
  if (name.startsWith('bar.')) return { kind: 'barrier' };
  // What is only read comes through the texture unit: `isam (u32)(xyzw)`.
  const [, bits, channels] = /^ *\([uf](16|32)\)\(([xyzw]+)\)/.exec(operands) ?? [];
  if (name.startsWith('isam') && channels)
    return { kind: 'load', bytes: (Number(bits) / 8) * channels.length };
  const [, what, width, count] = /^(ld|st)ib\.b\.untyped\.1d\.[uf](16|32)\.(\d)/.exec(name) ?? [];
  if (what) return { kind: what === 'ld' ? 'load' : 'store', bytes: (Number(width) / 8) * Number(count) };
  return { kind: 'other' };
}
