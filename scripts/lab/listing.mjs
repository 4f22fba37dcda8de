// What can be read off a shader's assembly, whatever the machine: each module of isa/ makes a listing, and this counts in it.

/**
 * `wait`: until at most `left` loads are under way.
 *
 * @typedef {{ kind: 'load' | 'store', bytes: number } | { kind: 'wait', left: number }
 *   | { kind: 'barrier' | 'division' | 'spill' | 'other' }} Instruction
 *
 * @typedef {{ from: number, to: number }} Range instructions from the first up to, without it, the last
 *
 * @typedef {{ from: number, parts: Range[] }} Loop where it begins, and all that it is made of, in the order of the code
 *
 * @typedef {{ code: Instruction[], loops: Loop[], untold?: string[] }} Listing `untold`: columns that this assembly does not tell
 */

/** Loops in which no other begins. @param {Loop[]} loops */
function innerLoops(loops) {
  const holds = (loop, at) => loop.parts.some(({ from, to }) => at >= from && at < to);
  return loops.filter((loop) => !loops.some(({ from }) => from !== loop.from && holds(loop, from)));
}

/**
 * Loops of a compiler that leaves blocks in the order of the source: all from a beginning to the last jump back there.
 *
 * @param {Range[]} jumps from where a jump leads up to behind the jump
 * @returns {Loop[]}
 */
export function loopsOf(jumps) {
  /** @type {Map<number, number>} */
  const ends = new Map();
  for (const { from, to } of jumps) ends.set(from, Math.max(to, ends.get(from) ?? 0));
  return [...ends].map(([from, to]) => ({ from, parts: [{ from, to }] }));
}

/**
 * Round trips to memory that follow one another: a load that is issued after the result of another was waited for comes one later than
 * that. In the order of the code, so that both sides of a branch count.
 *
 * @param {Instruction[]} code
 */
function roundTrips(code) {
  let arrived = 0;
  /** @type {number[]} */
  const underWay = [];
  let most = 0;
  for (const one of code) {
    if (one.kind === 'load') {
      underWay.push(arrived + 1);
      most = Math.max(most, arrived + 1);
    }
    if (one.kind === 'wait') {
      while (underWay.length > one.left) arrived = Math.max(arrived, underWay.shift() ?? 0);
    }
  }
  return most;
}

/** `16×4 8×1`: how often each width occurs. @param {Instruction[]} code @param {'load' | 'store'} kind */
function widthsOf(code, kind) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const one of code) if (one.kind === kind) counts.set(one.bytes, (counts.get(one.bytes) ?? 0) + 1);
  return counts;
}

/**
 * @param {Listing} listing
 * @param {import('./compile.mjs').Kernel} kernel
 */
export function counted({ code, loops, untold = [] }, kernel) {
  const count = (part, kind) => part.filter((one) => one.kind === kind).length;
  const parts = innerLoops(loops).map((loop) => loop.parts.flatMap(({ from, to }) => code.slice(from, to)));
  const moving = parts.filter((part) => count(part, 'load') > 0);
  // Where no loop loads, the loops over a thread's elements were unrolled: what they were made of is the kernel.
  const inner = moving.length > 0 ? parts.flat() : code;
  const loads = widthsOf(inner, 'load');
  const stores = widthsOf(inner, 'store');
  const waits = count(code, 'wait') > 0;
  const found = {
    loads: shownWidths(loads),
    stores: shownWidths(stores),
    narrow: narrowOf(kernel, loads, stores),
    barriers: count(code, 'barrier'),
    loops: parts.length,
    divisions: count(parts.flat(), 'division'),
    allDivisions: count(code, 'division'),
    loopInstructions: moving.length > 0 ? heaviest(moving).length : null,
    loopTrips: waits && moving.length > 0 ? Math.max(...moving.map(roundTrips)) : null,
    trips: waits ? roundTrips(code) : null,
  };
  return { ...found, ...Object.fromEntries(untold.map((name) => [name, null])) };
}

/** The loop that loads most: a remainder of a few elements has one of its own. @param {Instruction[][]} loops */
function heaviest(loops) {
  const loaded = (loop) => loop.reduce((sum, one) => sum + (one.kind === 'load' ? one.bytes : 0), 0);
  return loops.reduce((most, loop) => (loaded(loop) > loaded(most) ? loop : most));
}

/** @param {Map<number, number>} widths */
function shownWidths(widths) {
  const sorted = [...widths].sort(([a], [b]) => b - a);
  return sorted.map(([bytes, count]) => `${bytes}×${count}`).join(' ');
}

/** Tensors of x's shape. */
const whole = ['x', 'residual', 'y', 'sum', 'dy', 'dsum', 'dx', 'dresidual'];

/**
 * Loads and stores under 16 bytes in the inner loops of a kernel that works on quads of f32, but for those that its other bindings
 * explain: statistics of a row (4 to 12 bytes), a channel's weight, partial sums. Each of these may be loaded, or stored, once for every
 * load of 16 bytes, or once where there is none; a quad that falls apart into four loads is more than that.
 *
 * @param {import('./compile.mjs').Kernel} kernel
 * @param {Map<number, number>} loads
 * @param {Map<number, number>} stores
 * @returns {number | null} null for a kernel that does not work on quads of f32
 */
function narrowOf({ bindings }, loads, stores) {
  const tensors = bindings.filter(({ name }) => whole.includes(name));
  if (tensors.length === 0 || tensors.some(({ type }) => type !== 'vec4<f32>')) return null;
  const beyond = (widths, access) => {
    const others = bindings.filter((one) => access.includes(one.access) && !whole.includes(one.name)).length;
    let narrow = 0;
    let full = 0;
    for (const [bytes, count] of widths) {
      if (bytes >= 16) full += count;
      else narrow += count;
    }
    return Math.max(0, narrow - others * Math.max(1, full));
  };
  return beyond(loads, ['read', 'read_write']) + beyond(stores, ['read_write']);
}
