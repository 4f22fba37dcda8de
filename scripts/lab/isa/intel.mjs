// What ANV's compiler (brw) says of a shader, and what stands in its assembly.
import { loopsOf } from '../listing.mjs';

/** No occupancy: every thread has its registers, whatever it needs. @param {import('../compile.mjs').Executable} executable */
export function figures({ statistics: s }) {
  return {
    registers: s['Max live registers'],
    spills: Number(s['Spill Count']) + Number(s['Fill Count']),
    scratch: s['Scratch Memory Size'],
    shared: s['Workgroup Memory Size'],
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
    const label = /^(LABEL\d+):/.exec(line)?.[1];
    if (label) labels.set(label, code.length);
    // What a send does stands in the line below it.
    const message = /^\s.*MsgDesc: *(.*)/.exec(line)?.[1];
    if (message) code[code.length - 1] = sent(message);
    const [, name = ''] = /^(?:\([^)]*\) *)?([a-z]\w*(?: int\w+)?)\(/.exec(line) ?? [];
    if (!name || name.startsWith('sync')) continue;
    // `mach` is the upper half of a product, as every division needs it where there is no instruction for it.
    code.push({ kind: /^(mach|math int)/.test(name) ? 'division' : 'other' });
    const target = name === 'while' ? labels.get(/LABEL\d+/.exec(line)?.[0] ?? '') : undefined;
    if (target !== undefined) jumps.push({ from: target, to: code.length });
  }
  return { code, loops: loopsOf(jumps) };
}

/** Bytes by the channels that a message of Gen12 leaves out. @type {Record<string, number>} */
const masks = { '0x0': 16, '0x8': 12, '0xc': 8, '0xe': 4 };

/**
 * Bindings are addressed through the binding table; scratch, uniform numbers and workgroup memory are not, or have reserved places in it.
 *
 * @param {string} message
 * @returns {import('../listing.mjs').Instruction}
 */
function sent(message) {
  if (/barrier msg/.test(message)) return { kind: 'barrier' };
  const lsc = /^\( (load|store), \w+, d(\d+)(?:u32)?, V(\d+), (?!transpose).* bti \)/.exec(message);
  if (lsc) return moved(lsc[1] === 'store', (Number(lsc[2]) / 8) * Number(lsc[3]));
  const surface = /untyped surface (read|write), Surface = (\d+), SIMD\d+, Mask = (0x\w+)/.exec(message);
  if (surface && Number(surface[2]) < 240) return moved(surface[1] === 'write', masks[surface[3] ?? ''] ?? 0);
  const bytes = /DC byte scattered (read|write), bti (\d+)/.exec(message);
  if (bytes && Number(bytes[2]) < 240) return moved(bytes[1] === 'write', 2);
  return { kind: 'other' };
}

/** @param {boolean} stores @param {number} bytes @returns {import('../listing.mjs').Instruction} */
const moved = (stores, bytes) => ({ kind: stores ? 'store' : 'load', bytes });
