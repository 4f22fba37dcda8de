// What NVK's compiler (NAK) says of a shader, and what stands in its assembly.

/** Occupancy in warps of 32 threads per multiprocessor. @param {import('../compile.mjs').Executable} executable */
export function figures({ statistics: s }) {
  return {
    registers: s['Number of GPRs'],
    occupancy: s['Max warps/SM'],
    // To memory alone: registers of the uniform file that move to ordinary ones cost little.
    spills: Number(s['Spills to memory'] ?? 0) + Number(s['Fills from memory'] ?? 0),
    scratch: s['SLM size'],
    instructions: s['Instruction count'],
  };
}

/** @param {string} assembly @returns {import('../listing.mjs').Listing} */
export function listing(assembly) {
  /** @type {import('../listing.mjs').Instruction[]} */
  const code = [];
  /** Where each block begins, by its number. @type {number[]} */
  const blocks = [];
  const loops = [];
  for (const line of assembly.split('\n')) {
    const block = /^block(?:\.u)? (\d+) /.exec(line)?.[1];
    const next = /^\} -> \[(.*)\]/.exec(line)?.[1];
    if (block !== undefined) blocks[Number(block)] = code.length;
    else if (next !== undefined) {
      // A block that follows and was there before is the beginning of a loop.
      for (const number of next.match(/\d+/g) ?? []) {
        const from = blocks[Number(number)];
        if (from !== undefined) loops.push({ from, to: code.length });
      }
    } else if (line.trim()) code.push(instruction(line));
  }
  return { code, loops };
}

/** @param {string} line @returns {import('../listing.mjs').Instruction} */
function instruction(line) {
  const [, what, bits] = /\b(ld|st)\.global\S*\.[bui](\d+)\b/.exec(line) ?? [];
  if (what) return { kind: what === 'ld' ? 'load' : 'store', bytes: Number(bits) / 8 };
  if (/\bbar\.sync\b/.test(line)) return { kind: 'barrier' };
  // The upper half of a product, as every division needs it.
  if (/\bimad64\b/.test(line)) return { kind: 'division' };
  return { kind: 'other' };
}
