import { strategiesOf } from '../../src/plan/strategy.ts';
import { plannedGeometry, type Subject } from './subject.ts';

/** A subject as it is, and in every strategy that its forward pass has. */
export function inEveryStrategy(subject: Subject): Subject[] {
  // Known statistics are a matter of split passes alone; 16 lanes keep 512 columns in registers.
  const possible = strategiesOf(plannedGeometry(subject), 'forward')
    .filter((strategy) => !subject.evaluation || strategy === 'split')
    .filter((strategy) => strategy !== 'registers' || (subject.shape.at(-1) ?? 0) <= 512);
  const others = possible.map((strategy) => ({
    strategy,
    workgroup: 16,
    ...(strategy === 'registers' && { lanes: 16 }),
    ...(strategy === 'split' && { splits: 2 }),
  }));
  return [subject, ...others.map((schedule) => ({ ...subject, schedule }))];
}
