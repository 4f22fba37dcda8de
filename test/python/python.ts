/** The Python that these tests start. `npm run test:python` installs one with PyTorch. */
import { spawnSync } from 'node:child_process';

// Debian's PyTorch belongs to Debian's Python, which need not be the first on the path.
const candidates = ['python3', '/usr/bin/python3'];
const runs = (name: string, code: string) => spawnSync(name, ['-c', code]).status === 0;

const found = candidates.find((name) => runs(name, ''));
if (!found) throw new Error('There is no python3: `npm run test:python` installs one on Debian.');

/** A Python 3. */
export const python: string = found;

/** One that has PyTorch, if any. */
export const torch: string | undefined = candidates.find((name) => runs(name, 'import torch'));
