// `npm run build`: the library in dist/, one .js and one .d.ts per source file, and the main entry as one minified file.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bin, root } from './lib/paths.mjs';
import { node } from './lib/run.mjs';

const dist = join(root, 'dist');
rmSync(dist, { recursive: true, force: true });
process.exitCode =
  (await node(bin.vite, ['build', '--logLevel', 'warn'])) ||
  (await node(bin.vite, ['build', '--logLevel', 'warn', '--mode', 'doctor'])) ||
  (await node(bin.vite, ['build', '--logLevel', 'warn', '--mode', 'single'])) ||
  (await node(bin.tsc, ['-p', 'tsconfig.build.json']));

// tsc turns the .ts of relative imports into .js in code, but leaves it in declarations, where no consumer's
// compiler should have to understand it.
if (process.exitCode === 0) {
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.d.ts')) continue;
    const path = join(dist, file);
    const text = readFileSync(path, 'utf8');
    // Symbol.dispose is not in the lib that most programs compile with.
    const lib = /\[Symbol\.(asyncD|d)ispose\]/.test(text)
      ? '/// <reference lib="esnext.disposable" />\n'
      : '';
    const declarations = text
      .replace(/((?:from|import)\s*\(?\s*['"]\.[^'"]*)\.ts(['"])/g, '$1.js$2')
      // Up to TypeScript 5.6 typed arrays are not generic. What `of` returns is an array with an ArrayBuffer of its own in each version.
      .replace(
        /\b((?:Float|Uint|Int|BigInt|BigUint)\d+(?:Clamped)?Array)<ArrayBuffer>/g,
        "ReturnType<$1Constructor['of']>",
      );
    writeFileSync(path, lib + declarations);
  }
}
