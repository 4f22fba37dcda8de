/** bench/pytorch.py measures the rows of our bench. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { benchRows, rowName } from '../../bench/rows.ts';
import { root } from '../../scripts/lib/paths.mjs';
import { python } from './python.ts';

it('the rows of the bench are the same in PyTorch', () => {
  const names = execFileSync(python, [join(root, 'bench', 'pytorch.py'), '--list'], { encoding: 'utf8' });
  expect(names.trim().split('\n')).toEqual(benchRows(true).map(rowName));
});
