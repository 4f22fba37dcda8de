// Shaders as the package ships them inside its JavaScript: what only people read is left out, and names are short. The
// files under shaders/ are shipped whole beside it.

const word = /\b[A-Za-z_]\w*/g;
// Components of vectors, which are named as variables may be.
const swizzle = /^([xyzw]{1,4}|[rgba]{1,4})$/;
const letters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'];
const shortest = [...letters, ...letters.flatMap((first) => letters.map((second) => first + second))];

/** @param {string} text */
const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');

/**
 * WGSL without comments, indentation and needless spaces, still line by line: compilers name lines.
 *
 * @param {string} text
 * @param {ReadonlyMap<string, string>} names - of what is to be called otherwise.
 */
export function minifyWgsl(text, names = new Map()) {
  return withoutComments(text)
    .split('\n')
    .map((line) =>
      line
        .trim()
        .replace(/\s+/g, ' ')
        .replace(/ ?([{}()[\],;:]) ?/g, '$1')
        // Not between two operators: `a - -b` and `array<f32> = x` would become other tokens.
        .replace(/(?<![-+*/%&|^<>=!]) (?=[-+*/%&|^<>=!])|(?<=[-+*/%&|^<>=!]) (?![-+*/%&|^<>=!])/g, '')
        .replace(word, (name) => names.get(name) ?? name),
    )
    .filter(Boolean)
    .join('\n');
}

/**
 * Short names for what shaders declare, one for one and the same in all of them, since any fragment may meet any other:
 * the more often used, the shorter. Overrides and entry points keep theirs, by which the host calls them.
 *
 * @param {readonly string[]} texts - all the shaders there are.
 * @returns {Map<string, string>}
 */
export function shortNames(texts) {
  const code = texts.map(withoutComments).join('\n');
  /** @param {RegExp} pattern */
  const found = (pattern) => [...code.matchAll(pattern)].map(([, name]) => String(name));
  const callable = new Set(found(/\b(?:fn|struct|alias)\s+(\w+)/g));
  const variables = [
    ...found(/\b(?:const|let|var(?:<[^>]*>)?)\s+(\w+)/g),
    ...found(/\b([A-Za-z_]\w*)\s*:/g), // parameters, members
  ];
  const kept = new Set([
    'main',
    ...found(/\boverride\s+(\w+)/g),
    // What WGSL means by a word: attributes, built-in values, address spaces, built-in functions.
    ...found(/@(\w+)/g),
    ...found(/@builtin\((\w+)/g),
    ...found(/\bvar<(\w+)/g),
    ...found(/\bvar<\w+,\s*(\w+)/g),
    ...found(/\b(\w+)\s*\(/g).filter((name) => !callable.has(name)),
  ]);
  const declared = new Set(
    [...callable, ...variables].filter((name) => !kept.has(name) && !swizzle.test(name)),
  );
  /** @type {Map<string, number>} */
  const uses = new Map();
  for (const [name] of code.matchAll(word)) uses.set(name, (uses.get(name) ?? 0) + 1);
  // Words that WGSL has or reserves, beside those that stay.
  const taken = new Set([
    'as',
    'do',
    'fn',
    'if',
    'of',
    ...[...uses.keys()].filter((name) => !declared.has(name)),
  ]);
  const free = shortest.filter((name) => !taken.has(name) && !swizzle.test(name));
  const usesOf = (/** @type {string} */ name) => uses.get(name) ?? 0;
  const byUse = [...declared].sort((a, b) => usesOf(b) - usesOf(a) || (a < b ? -1 : 1));
  return new Map(byUse.map((name, i) => [name, free[i] ?? name]));
}
