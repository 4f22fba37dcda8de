import type { Case } from '../harness/case.ts';
import { cases as accuracy } from './accuracy.ts';
import { cases as smoke } from './smoke.ts';

/** Every GPU case, in the order they run. */
export const allCases: Case[] = [...smoke, ...accuracy];

const names = new Set<string>();
for (const { name } of allCases) {
  if (names.has(name)) throw new Error(`two GPU cases are named "${name}"`);
  names.add(name);
}
