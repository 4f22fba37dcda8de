import { spawnSync } from 'node:child_process';
import { root } from './paths.mjs';

/** The commit of the checkout, and whether it has changes. */
export function commit() {
  const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout?.trim();
  const hash = git('rev-parse', '--short', 'HEAD');
  return hash ? hash + (git('status', '--porcelain') ? ' with changes' : '') : 'unknown';
}
