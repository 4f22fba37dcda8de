import { readFile } from 'node:fs/promises';
import { SourceMap } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { cache, root } from '../../scripts/lib/paths.mjs';
import { wgslModules } from '../../scripts/lib/wgsl-modules.mjs';

export const suiteFile = join(cache, 'suite', 'suite.mjs');

/** Bundles the suite, the cases and the library into one module that browsers, Node and Deno load alike. */
export async function bundleSuite(): Promise<void> {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    plugins: [wgslModules()],
    build: {
      target: 'es2022',
      minify: false,
      sourcemap: true,
      outDir: join(cache, 'suite'),
      emptyOutDir: true,
      lib: { entry: join(root, 'test/harness/suite.ts'), formats: ['es'], fileName: () => 'suite.mjs' },
    },
  });
}

/**
 * Rewrites a stack trace of the bundle, in whatever form its engine has, to V8's form with places in the sources.
 * Places that lie in no source of interest, the page's or the harness's own, are left out.
 */
export async function mapStack(stack: string): Promise<string> {
  const map = new SourceMap(JSON.parse(await readFile(`${suiteFile}.map`, 'utf8')));
  const lines: string[] = [];
  for (const frame of stack.split('\n')) {
    const [, file = '', line = '', column = ''] = /([^\s()@]+):(\d+):(\d+)\)?$/.exec(frame) ?? [];
    let place: string | undefined;
    if (file.endsWith('suite.mjs')) {
      const entry = map.findEntry(Number(line) - 1, Number(column) - 1);
      if (!('originalSource' in entry)) continue;
      const source = resolve(dirname(suiteFile), entry.originalSource);
      place = `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
    } else if (file.startsWith('file:') && file.endsWith('.ts')) {
      place = `${fileURLToPath(file)}:${line}:${column}`; // Deno has already looked at the source map
    }
    if (!place || place.includes(join('harness', 'suite.ts'))) continue;
    const [, called = 'anonymous'] = /^\s*(?:at )?(?:async\*? ?)?([\w.$<>]+)(?: \(|@)/.exec(frame) ?? [];
    lines.push(`    at ${called} (${place})`);
  }
  return lines.join('\n');
}
