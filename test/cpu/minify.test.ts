// The shaders as the package's JavaScript has them say what the files say.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import { minifyWgsl, shortNames } from '../../scripts/lib/wgsl.mjs';

const folder = join(root, 'shaders');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.wgsl'),
);
const texts = files.map((name) => readFileSync(join(folder, name), 'utf8'));

/** Words, numbers, and runs of operators, which must neither join nor part. */
const tokens = (text: string) => text.match(/[\w.]+|[-+*/%&|^!=<>~@]+|\S/g);
const code = (text: string) => text.replaceAll(/\/\/.*|\/\*[\s\S]*?\*\//g, '');

describe('minified shaders', () => {
  it('lack comments and spaces alone', () => {
    expect(files.length).toBeGreaterThan(50);
    for (const [i, text] of texts.entries()) {
      const short = minifyWgsl(text);
      expect(tokens(short), files[i]).toEqual(tokens(code(text)));
      expect(short).not.toContain('//');
      expect(short.length).toBeLessThan(text.length);
    }
  });

  it('keep operators apart', () => {
    expect(
      minifyWgsl('let a = b - -c; // so\nvar d: array<f32, 4> = e;\n/* and\n so */ f ( g , h ) ;\ni && !j'),
    ).toBe('let a=b- -c;\nvar d:array<f32,4> =e;\nf(g,h);\ni&& !j');
  });

  it('call things otherwise one for one, and nothing that the host or WGSL names', () => {
    const names = shortNames(texts);
    expect(names.size).toBeGreaterThan(200);
    const back = new Map([...names].map(([name, short]) => [short, name]));
    expect(back.size).toBe(names.size);
    const words = new Set(texts.flatMap((text) => code(text).match(/\b[A-Za-z_]\w*/g) ?? []));
    for (const short of back.keys()) expect(words.has(short) && !names.has(short), short).toBe(false);
    const overrides = texts.flatMap((text) => [...text.matchAll(/override (\w+)/g)].map(([, name]) => name));
    const theirs = ['main', 'X', 'W4', 'ITEMS', 'vec4', 'f32', 'let', 'num_workgroups', 'storage', 'xyz'];
    for (const name of [...overrides, ...theirs]) expect(names.has(String(name)), name).toBe(false);
    for (const [i, text] of texts.entries()) {
      expect(minifyWgsl(minifyWgsl(text, names), back), files[i]).toBe(minifyWgsl(text));
    }
  });

  it('leave alone what is also an attribute or a function of WGSL', () => {
    const text =
      'fn use_it(step: f32, size: f32, own: f32) -> f32 { return step(own, size) + @size(4) own.xy; }';
    expect([...shortNames([text]).keys()].sort()).toEqual(['own', 'use_it']);
  });
});
