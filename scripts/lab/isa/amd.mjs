// What RADV's compiler (ACO) says of a shader, and what stands in its assembly.
import { loopsOf } from '../listing.mjs';

/**
 * Occupancy in waves of 64 threads per SIMD. RDNA's counts are of waves of 32.
 *
 * @param {import('../compile.mjs').Executable} executable
 * @param {Record<string, unknown>} adapter
 */
export function figures({ statistics: s, subgroupSize }, { architecture }) {
  const waves = Number(s['Subgroups per SIMD']);
  const wide = subgroupSize === 64 && /rdna/.test(String(architecture));
  return {
    registers: s.VGPRs,
    occupancy: wide ? waves / 2 : waves,
    spills: Number(s['Spilled VGPRs']) + Number(s['Spilled SGPRs']),
    scratch: s['Scratch size'],
    shared: s['LDS size'],
    instructions: s.Instructions,
  };
}

/** Bytes by how GCN and RDNA3 end the names of vector loads and stores. */
const widths = {
  b128: 16,
  dwordx4: 16,
  b96: 12,
  dwordx3: 12,
  b64: 8,
  dwordx2: 8,
  b32: 4,
  dword: 4,
  ushort: 2,
  short: 2,
  u16: 2,
  b16: 2,
};

/** @param {string} assembly @returns {import('../listing.mjs').Listing} */
export function listing(assembly) {
  /** @type {import('../listing.mjs').Instruction[]} */
  const code = [];
  /** Where each block begins. @type {Map<string, number>} */
  const blocks = new Map();
  const jumps = [];
  for (const line of assembly.split('\n')) {
    const block = /^(BB\d+):/.exec(line)?.[1];
    if (block) blocks.set(block, code.length);
    const [, name = '', rest = ''] = /^\t(\S+)\s*([^;]*)/.exec(line) ?? [];
    // What only makes the wave wait or pause is no work.
    if (!name || /^s_(nop|delay_alu|clause|waitcnt_depctr|waitcnt_vscnt|code_end)/.test(name)) continue;
    code.push(instruction(name, rest));
    const target = /^s_c?branch/.test(name) ? blocks.get(/BB\d+/.exec(rest)?.[0] ?? '') : undefined;
    if (target !== undefined) jumps.push({ from: target, to: code.length });
  }
  return { code, loops: loopsOf(jumps) };
}

/** @param {string} name @param {string} operands @returns {import('../listing.mjs').Instruction} */
function instruction(name, operands) {
  // Scalar loads, of bindings and uniform numbers, come from a cache of their own and are not counted as memory.
  const [, what, width = ''] = /^(?:buffer|global|flat)_(load|store)_(?:d16_)?(?:hi_)?(\w+)/.exec(name) ?? [];
  if (what === 'load' || what === 'store') return { kind: what, bytes: widths[width] ?? 0 };
  if (/^s_barrier(_signal)?$/.test(name)) return { kind: 'barrier' };
  // The upper half of a product: what a division becomes, by a constant or not.
  if (/^[sv]_mul_hi_[ui]32/.test(name)) return { kind: 'division' };
  const left =
    name === 's_wait_loadcnt' ? /0x[0-9a-f]+|\d+/.exec(operands)?.[0] : /vmcnt\((\d+)\)/.exec(operands)?.[1];
  if (/^s_wait/.test(name))
    return left === undefined ? { kind: 'other' } : { kind: 'wait', left: Number(left) };
  return { kind: 'other' };
}
