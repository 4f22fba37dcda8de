import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';

/** A hash of everything a test result depends on, to tell whether a stored result is still true. */
export function fingerprint() {
  const hash = createHash('sha256');
  for (const folder of ['src', 'shaders', 'test', 'demo/network']) {
    const files = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    for (const file of files) hash.update(file.slice(root.length)).update(readFileSync(file));
  }
  for (const file of ['package-lock.json', 'scripts/lib/tests.mjs', 'scripts/lib/wgsl-modules.mjs'])
    hash.update(readFileSync(join(root, file)));
  return hash.digest('hex');
}
