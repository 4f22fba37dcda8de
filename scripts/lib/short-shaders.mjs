import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { minifyWgsl, shortNames } from './wgsl.mjs';

/** Every shader's text. */
export function shaderTexts() {
  const folder = join(root, 'shaders');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.wgsl'))
    .sort()
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** A plugin for Vite that makes every shader short that it loads. */
export function shortShaders() {
  const names = shortNames(shaderTexts());
  return {
    name: 'short-shaders',
    enforce: /** @type {const} */ ('pre'),
    /** @param {string} id */
    load(id) {
      if (!id.endsWith('.wgsl?raw')) return undefined;
      const text = readFileSync(id.slice(0, -'?raw'.length), 'utf8');
      // The first line is the shader's name.
      const short = text.slice(0, text.indexOf('\n') + 1) + minifyWgsl(text, names);
      return `export default ${JSON.stringify(short)};`;
    },
  };
}
