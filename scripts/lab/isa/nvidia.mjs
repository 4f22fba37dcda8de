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
  /** @type {Block[]} */
  const blocks = [];
  const numbers = (text = '') => (text.match(/\d+/g) ?? []).map(Number);
  for (const line of assembly.split('\n')) {
    const begins = /^block(?:\.u)? \d+ \S+ \[(.*)\]/.exec(line);
    const ends = /^\} -> \[(.*)\]/.exec(line);
    if (begins) blocks.push({ from: code.length, to: code.length, before: numbers(begins[1]), after: [] });
    else if (ends)
      Object.assign(blocks[blocks.length - 1] ?? {}, { to: code.length, after: numbers(ends[1]) });
    else if (line.trim()) code.push(instruction(line));
  }
  return { code, loops: loopsOf(blocks) };
}

/**
 * Blocks stand among each other that belong to different loops, so that loops are made from what leads where: of a jump back all from
 * where the end can be reached without passing the beginning.
 *
 * @typedef {import('../listing.mjs').Range & { before: number[], after: number[] }} Block
 *
 * @param {Block[]} blocks
 * @returns {import('../listing.mjs').Loop[]}
 */
function loopsOf(blocks) {
  /** By its beginning: the blocks of a loop. @type {Map<number, Set<number>>} */
  const loops = new Map();
  blocks.forEach(({ after }, end) => {
    for (const begin of after.filter((next) => next <= end)) {
      const found = loops.get(begin) ?? new Set([begin]);
      loops.set(begin, found);
      const open = [end];
      for (let one = open.pop(); one !== undefined; one = open.pop()) {
        if (found.has(one)) continue;
        found.add(one);
        open.push(...(blocks[one]?.before ?? []));
      }
    }
  });
  return [...loops].map(([begin, found]) => ({
    from: blocks[begin]?.from ?? 0,
    parts: blocks.filter((_, number) => found.has(number)).map(({ from, to }) => ({ from, to })),
  }));
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
