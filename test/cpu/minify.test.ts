// The shaders as the package's JavaScript has them say what the files say.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import { minifyWgsl } from '../../scripts/lib/wgsl.mjs';

const folder = join(root, 'shaders');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.wgsl'),
);

/** Words, numbers, and runs of operators, which must neither join nor part. */
const tokens = (text: string) => text.match(/[\w.]+|[-+*/%&|^!=<>~@]+|\S/g);

it('takes out comments and spaces alone', () => {
  expect(files.length).toBeGreaterThan(50);
  for (const name of files) {
    const text = readFileSync(join(folder, name), 'utf8');
    const short = minifyWgsl(text);
    expect(tokens(short), name).toEqual(tokens(text.replaceAll(/\/\/.*|\/\*[\s\S]*?\*\//g, '')));
    expect(short).not.toContain('//');
    expect(short.length).toBeLessThan(text.length);
  }
});

it('keeps operators apart', () => {
  expect(minifyWgsl('let a = b - -c; // so\nvar d: array<f32, 4> = e;\n/* and\n so */ f ( g , h ) ;')).toBe(
    'let a = b - -c;\nvar d:array<f32,4> = e;\nf(g,h);',
  );
});
