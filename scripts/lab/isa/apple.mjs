// What Honeykrisp's compiler (AGX) says of a shader. It shows no assembly.

/** Registers of 32 bits; occupancy in threads of a core. @param {import('../compile.mjs').Executable} executable */
export function figures({ statistics: s }) {
  return {
    registers: Math.ceil(Number(s.GPRs) / 2),
    occupancy: s.Threads,
    spills: Number(s.Spills) + Number(s.Fills),
    scratch: s.Scratch,
    instructions: s.Instructions,
  };
}

export const listing = null;
