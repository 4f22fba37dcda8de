// Turns the files under shaders/ into modules that src/shaders/link.ts can join. Everything that takes parsing is done here, when
// a program is built: what a file declares, what each declaration refers to, and which blocks depend on a flag. The library
// itself only walks over names.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { root } from './paths.mjs';

const folder = join(root, 'shaders');

/**
 * @typedef {import('../../src/shaders/module.ts').Part} Part
 * @typedef {import('../../src/shaders/module.ts').Declaration} Declaration
 * @typedef {{ name: string, needs: string[], code: string }} File
 * @typedef {{ names: ReadonlySet<string>, flags: ReadonlySet<string> }} World what all files declare, and the flags among that
 */

const word = /[A-Za-z_]\w*/g;

/**
 * The files under shaders/, by their names: `kernels/rows/forward_registers`.
 *
 * @returns {Map<string, File>}
 */
export function shaderFiles() {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.wgsl'))
    .map((name) => name.replaceAll('\\', '/').slice(0, -'.wgsl'.length));
  return new Map(names.sort().map((name) => [name, fileOf(name, readFileSync(pathOf(name), 'utf8'))]));
}

/** @param {string} name */
export const pathOf = (name) => join(folder, `${name}.wgsl`);

/** @param {string} name @param {string} text */
export function fileOf(name, text) {
  const needs = /^\/\/ needs: (.*)$/m.exec(text)?.[1]?.trim().split(/\s+/) ?? [];
  return { name, needs, code: text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '') };
}

/**
 * What all files declare.
 *
 * @param {Iterable<File>} files
 * @returns {World}
 */
export function worldOf(files) {
  const names = new Set();
  const flags = new Set();
  for (const { code } of files) {
    for (const one of topLevel(code)) {
      for (const { name } of declarationsOf(one)) names.add(name);
      const flag = /^override (\w+): bool\b/.exec(one)?.[1];
      if (flag) flags.add(flag);
    }
  }
  return { names, flags };
}

/**
 * The declarations of a file.
 *
 * @param {File} file
 * @param {World} world
 * @returns {Declaration[]}
 * @throws Error where a local variable has the name of a declaration, which would make its uses look like references.
 */
export function parse({ name, code }, world) {
  return topLevel(code).flatMap((text) => {
    try {
      return declarationsOf(text, world);
    } catch (error) {
      throw new Error(`shaders/${name}.wgsl: ${error instanceof Error ? error.message : error}`);
    }
  });
}

/** The text between declarations of a module: each ends with a semicolon or a closing brace. @param {string} code */
function topLevel(code) {
  const found = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < code.length; i++) {
    if (code[i] === '{') depth++;
    if (code[i] === '}') depth--;
    if (depth === 0 && (code[i] === ';' || code[i] === '}')) {
      found.push(trimmed(code.slice(start, i + 1)));
      start = i + 1;
    }
  }
  return found.filter((text) => text !== ';');
}

/** A text without empty lines and without blanks at the ends of lines. @param {string} text */
const trimmed = (text) =>
  text
    .split('\n')
    .map((line) => line.trimEnd())
    .filter(Boolean)
    .join('\n');

/** What stands between braces, as if it stood around them. @param {string} text */
const outdented = (text) => trimmed(text).replace(/^ {2}/gm, '');

/**
 * What a text declares: for a struct of uniform numbers its fields, each by itself, so that a kernel gets only those that it
 * reads.
 *
 * @param {string} text
 * @param {World} [world] without it, names alone
 * @returns {Declaration[]}
 */
function declarationsOf(text, world = { names: new Set(), flags: new Set() }) {
  const head = /^override (\w+): (\w+)(?: = ([^;]+))?;$/.exec(text);
  if (head) {
    const [, name = '', type = '', value = ''] = head;
    return [{ name, kind: 'override', type, value, refs: [] }];
  }
  const storage = /^var<storage, (read|read_write)> (\w+): (.+);$/.exec(text);
  if (storage) {
    const [, access, name = '', type = ''] = storage;
    return [{ name, kind: 'storage', access: /** @type {any} */ (access), type, refs: refsOf(type, world) }];
  }
  const memory = /^var<workgroup> (\w+): (.+);$/.exec(text);
  if (memory) {
    const [, name = '', type = ''] = memory;
    return [{ name, kind: 'workgroup', type, refs: refsOf(type, world) }];
  }
  const alias = /^alias (\w+) = (.+);$/.exec(text);
  if (alias) {
    const [, name = '', value = ''] = alias;
    return [{ name, kind: 'alias', value, refs: refsOf(value, world) }];
  }
  if (/^var<uniform> params: Params;$/.test(text)) return [];
  if (text.startsWith('struct Params {')) {
    const fields = [...text.matchAll(/^ *(\w+): (\w+),$/gm)];
    return fields.map(([, field, type = '']) => ({ name: `params.${field}`, kind: 'field', type, refs: [] }));
  }
  const name = /^(?:@\w+(?:\([^)]*\))?\s*)*(?:fn|struct|const) (\w+)/.exec(text)?.[1] ?? '';
  if (!name) throw new Error(`It is not clear what this declares: ${text.slice(0, 80)}`);
  const locals = [...text.slice(text.indexOf(name)).matchAll(/\b(?:let|var|const) (\w+)/g)].map(
    ([, local]) => local,
  );
  const parameters = text.includes('fn ')
    ? [...(/\(([^{]*?)\)\s*(?:->[^{]*)?\{/s.exec(text)?.[1]?.matchAll(/\b(\w+)\s*:/g) ?? [])].map(
        ([, one]) => one,
      )
    : [];
  for (const local of [...locals, ...parameters]) {
    if (local && world.names.has(local))
      throw new Error(`${name} has a variable ${local}, which is declared elsewhere.`);
  }
  const scope = { ...world, names: new Set([...world.names].filter((one) => one !== name)) };
  return [{ name, kind: 'code', body: partsOf(text, scope) }];
}

/**
 * Names in a text that are declared somewhere, and `enable:subgroups` where it calls their functions.
 *
 * @param {string} text
 * @param {World} world
 */
function refsOf(text, { names }) {
  const refs = new Set();
  for (const match of text.matchAll(word)) {
    const [found] = match;
    const before = text[match.index - 1];
    if (found === 'params') refs.add(/^params\.\w+/.exec(text.slice(match.index))?.[0]);
    else if (/^subgroup[A-Z]/.test(found)) refs.add('enable:subgroups');
    // Not members, and not the names of a struct's fields.
    else if (
      before !== '.' &&
      before !== '@' &&
      names.has(found) &&
      !/^\s*:[^:]/.test(text.slice(match.index + found.length))
    ) {
      refs.add(found);
    }
  }
  return [...refs].sort();
}

/**
 * A text, cut where a block depends on a flag: `if (FLAG) {…}` or `if (!FLAG) {…}`, with or without else.
 *
 * @param {string} text
 * @param {World} world
 * @returns {Part[]}
 */
function partsOf(text, world) {
  const opening = /(?<![\w.])if \((!?)([A-Z]\w*)\) \{/g;
  for (let match = opening.exec(text); match; match = opening.exec(text)) {
    const [whole, not, flag = ''] = match;
    if (!world.flags.has(flag)) continue;
    if (/else\s*$/.test(text.slice(0, match.index))) throw new Error(`The flag ${flag} stands behind else.`);
    const end = closing(text, match.index + whole.length - 1);
    const indent = /^ */.exec(text.slice(text.lastIndexOf('\n', match.index) + 1))?.[0] ?? '';
    const otherwise = elseOf(text, end + 1, indent);
    const first = partsOf(outdented(text.slice(match.index + whole.length, end)), world);
    const other = partsOf(otherwise.text, world);
    return [
      ...textPart(text.slice(0, match.index), world),
      [flag, not ? other : first, not ? first : other],
      ...partsOf(trimmed(text.slice(otherwise.end)), world),
    ];
  }
  return textPart(text, world);
}

/** A piece of text behind a line of the names that it refers to. @param {string} text @param {World} world @returns {Part[]} */
function textPart(text, world) {
  const short = trimmed(text);
  return short.trim() ? [`${refsOf(short, world).join(' ')}\n${short}`] : [];
}

/**
 * What stands behind else, without its braces, and where it ends.
 *
 * @param {string} text
 * @param {number} from
 * @param {string} indent of the line with the `if`
 */
function elseOf(text, from, indent) {
  const found = /^\s*else\s+(if\b|\{)/.exec(text.slice(from));
  if (!found) return { text: '', end: from };
  const start = from + found[0].length;
  if (found[1] === '{') {
    const end = closing(text, start - 1);
    return { text: outdented(text.slice(start, end)), end: end + 1 };
  }
  const end = closing(text, text.indexOf('{', start)) + 1;
  const rest = /^\s*else\b/.test(text.slice(end)) ? elseEnd(text, end) : end;
  return { text: indent + text.slice(start - 'if'.length, rest), end: rest };
}

/** @param {string} text @param {number} from @returns {number} */
function elseEnd(text, from) {
  const end = closing(text, text.indexOf('{', from)) + 1;
  return /^\s*else\b/.test(text.slice(end)) ? elseEnd(text, end) : end;
}

/** The brace that closes the one at `open`. @param {string} text @param {number} open */
function closing(text, open) {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === '{') depth++;
    if (text[i] === '}' && --depth === 0) return i;
  }
  throw new Error('A brace is not closed.');
}

/** Whether files of this name are alternatives, of which the host chooses one. @param {string} need @param {Map<string, File>} files */
export const isInterface = (need, files) =>
  [...files.keys()].some((name) => name.startsWith(`interfaces/${need}/`));

/**
 * A module's JavaScript: what it needs and is always the same comes by import, and what the host chooses by name.
 *
 * @param {File} file
 * @param {Map<string, File>} files
 * @param {World} world
 */
export function moduleText(file, files, world) {
  const fixed = file.needs.filter((need) => !isInterface(need, files));
  const chosen = file.needs.filter((need) => isInterface(need, files));
  const imports = fixed.map((need) => {
    if (!files.has(`shared/${need}`))
      throw new Error(`shaders/${file.name}.wgsl needs ${need}: there is no such file.`);
    return `import ${need} from ${JSON.stringify(pathOf(`shared/${need}`))};\n`;
  });
  const label = file.name.replace(/^(kernels|interfaces|shared)\//, '');
  return `${imports.join('')}export default { name: ${JSON.stringify(label)}, needs: [${[...fixed, ...chosen.map((one) => JSON.stringify(one))]}], declarations: ${JSON.stringify(parse(file, world))} };`;
}

/** The plugin for Vite that every build of src/ needs. Files elsewhere than under shaders/ are modules by themselves. */
export function wgslModules() {
  /** What lies under shaders/: read once per build, and again where one of the files has changed or is new. */
  let all = /** @type {{ files: Map<string, File>, world: World } | undefined} */ (undefined);
  return {
    name: 'wgsl-modules',
    enforce: /** @type {const} */ ('pre'),
    buildStart() {
      all = undefined;
    },
    /** The server watches files that it has loaded; what a file not yet loaded declares counts, too. @param {import('vite').ViteDevServer} server */
    configureServer({ watcher }) {
      watcher.add(folder);
    },
    /** @param {string} id */
    watchChange(id) {
      if (id.endsWith('.wgsl')) all = undefined;
    },
    /** @this {{ addWatchFile(id: string): void }} @param {string} id */
    load(id) {
      if (!id.endsWith('.wgsl')) return undefined;
      this.addWatchFile(id);
      const name = relative(folder, id).replaceAll('\\', '/').slice(0, -'.wgsl'.length);
      if (!all || !(name.startsWith('..') || all.files.has(name))) {
        const files = shaderFiles();
        all = { files, world: worldOf(files.values()) };
      }
      const { files, world } = all;
      const known = files.get(name);
      if (known) return moduleText(known, files, world);
      const elsewhere = fileOf(basename(name), readFileSync(id, 'utf8'));
      return moduleText(elsewhere, files, worldOf([elsewhere]));
    },
  };
}
