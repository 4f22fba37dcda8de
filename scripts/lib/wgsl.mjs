// Shaders as the package ships them inside its JavaScript: what only people read is left out. The files under shaders/
// are shipped whole beside it.

/**
 * WGSL without comments, indentation and needless spaces, still line by line: compilers name lines.
 *
 * @param {string} text
 */
export function minifyWgsl(text) {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .split('\n')
    .map((line) =>
      line
        .replace(/\/\/.*$/, '')
        .trim()
        .replace(/\s+/g, ' ')
        // Not about operators: `a - -b` and `array<f32> = x` would become other tokens.
        .replace(/ ?([{}()[\],;:]) ?/g, '$1'),
    )
    .filter(Boolean)
    .join('\n');
}

/** A plugin for Vite that does so to every shader it loads. */
export function shortShaders() {
  return {
    name: 'short-shaders',
    enforce: /** @type {const} */ ('pre'),
    /** @param {string} id */
    async load(id) {
      if (!id.endsWith('.wgsl?raw')) return undefined;
      const { readFile } = await import('node:fs/promises');
      const text = await readFile(id.slice(0, -'?raw'.length), 'utf8');
      return `export default ${JSON.stringify(minifyWgsl(text))};`;
    },
  };
}
