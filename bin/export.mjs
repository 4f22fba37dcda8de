// `webgpu-norm export` and `webgpu-norm shader`: kernels as files, for other runtimes.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

/** The functions that describe norms, with the tables of their options. @returns {Promise<any>} */
const library = () => import(new URL('../dist/ops/describe.js', import.meta.url).href);

/**
 * By kind: how the help shows a value, and what becomes of its text. Booleans have no value. `sizes` and `names` are what the command
 * line makes of options that the library takes as arrays and objects.
 *
 * @type {Record<string, { value: string, read(flag: string, text: string): unknown }>}
 */
const kinds = {
  number: { value: 'NUMBER', read: number },
  string: { value: 'NAME', read: (_, text) => text },
  sizes: { value: 'SIZES', read: (flag, text) => sizes(text, `--${flag}`) },
  axes: { value: 'AXES', read: axesOf },
  names: { value: 'NAMES', read: wantsOf },
  other: { value: 'JSON', read: json },
};

/** The kinds here of options that the library's table calls `other`; those that are not named are JSON. */
const others = { normalizedShape: 'sizes', axes: 'axes', wants: 'names', accumulate: 'boolean' };

/** What the help says beside the ops that take an option. */
const notes = {
  pass: 'forward or backward; default forward',
  dtype: 'f32, f16 or bf16, of x; default f32',
  paramDtype: 'of weight and bias; default that of x',
  normalizedShape: 'default: the last size',
  axes: 'such as 1, or -2,-1; instead of normalizedShape',
  momentum: 'null for the average of all batches',
  wants: 'dweight, dbias, both with a comma between them, or none',
  accumulate: 'adds to what dweight and dbias hold',
  strides: 'by tensor the elements from one index of an axis to the next, such as {"x":[2304,1]}',
  sharedBuffer: 'tensors that lie in one buffer with an output, such as ["x","y"]',
  schedule: 'how the work is laid out, such as {"strategy":"split"}',
};

/** @typedef {{ name: string, kind: string, nullable: boolean, ops: Set<string>, passes: Set<string> }} Option */

/**
 * The options that a command line may have, from the library's own tables: an option that some op takes is a flag. The shape is an
 * argument instead.
 *
 * @param {{ describedOps: string[], describeNames(op: string, pass: string): Record<string, string> }} tables
 * @returns {Map<string, Option>} by flag
 */
function optionsOf({ describedOps, describeNames }) {
  /** @type {Map<string, Option>} */
  const options = new Map();
  for (const op of describedOps) {
    for (const pass of ['forward', 'backward']) {
      const { shape, ...names } = describeNames(op, pass);
      for (const [name, kind] of Object.entries(names)) {
        const flag = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
        const plain = others[name] ?? kind.replace('?', '');
        const before = options.get(flag);
        // A backward pass lets the variance that forward made be anything, since it ignores it: that says nothing of the flag.
        if (before && before.kind !== 'other' && plain === 'other') continue;
        const option =
          before && before.kind === plain
            ? before
            : { name, kind: plain, nullable: false, ops: new Set(), passes: new Set() };
        option.nullable ||= kind.endsWith('?');
        option.ops.add(op);
        option.passes.add(pass);
        options.set(flag, option);
      }
    }
  }
  return options;
}

/** What both commands say of their options. */
async function optionsUsage() {
  const tables = await library();
  const { describedOps } = tables;
  const options = [...optionsOf(tables)].sort(([, a], [, b]) => b.ops.size - a.ops.size);
  const lines = options.map(([flag, { name, kind, ops, passes }]) => {
    const shown = kind === 'boolean' ? `--[no-]${flag}` : `--${flag} ${kinds[kind]?.value}`;
    const without = describedOps.filter((/** @type {string} */ op) => !ops.has(op));
    const takers =
      without.length === 0 ? [] : [without.length < 3 ? `not ${without.join(', ')}` : [...ops].join(', ')];
    const only = passes.size === 1 ? [...passes] : [];
    const said = [[...only, ...takers].join(', '), notes[name]].filter(Boolean).join('; ');
    return `  ${shown.padEnd(26)} ${said}`.trimEnd();
  });
  return `An op is a function's name: ${describedOps.join(', ')}.
A shape is that of x: 4096x1024. Needs no GPU.

  --facts FILE               what gpu.facts says of the device that is to run them, as JSON; default what every device has

What the function is told. Of tensors it is told whether they are there; --no-NAME says that one is not. An op refuses what its function
does not take. FILE and JSON may be the name of a file or JSON itself.

${lines.join('\n')}`;
}

/** What `webgpu-norm export --help` prints. */
export const exportUsage = async () => `webgpu-norm export OP SHAPE --out FOLDER [options]

Writes one .wgsl for each shader that differs, and manifest.json: the description with the names of those files. docs/kernels.md
explains it.

  --out FOLDER               is made where it is missing; files of the same names are overwritten
  --help

${await optionsUsage()}`;

/** What `webgpu-norm shader --help` prints. */
export const shaderUsage = async () => `webgpu-norm shader OP SHAPE [options]

Prints the WGSL of a norm, each shader once.

  --help

${await optionsUsage()}`;

/** @param {string} flag @param {string} text */
function number(flag, text) {
  if (text.trim() === '' || Number.isNaN(Number(text)))
    throw new Error(`--${flag} is '${text}', which is no number.`);
  return Number(text);
}

/** Sizes such as 4096x1024. @param {string} text @param {string} what */
function sizes(text, what) {
  if (!/^\d+(x\d+)*$/.test(text))
    throw new Error(`${what} is '${text}'; sizes such as 4096x1024 are needed.`);
  return text.split('x').map(Number);
}

/** Axes such as -2,-1. @param {string} flag @param {string} text */
function axesOf(flag, text) {
  if (!/^-?\d+(,-?\d+)*$/.test(text)) throw new Error(`--${flag} is '${text}'; axes such as 1,3 are needed.`);
  return text.split(',').map(Number);
}

/** What JSON says, in the argument itself or in a file. @param {string} flag @param {string} text */
function json(flag, text) {
  try {
    return JSON.parse(text.trimStart().startsWith('{') ? text : readFileSync(text, 'utf8'));
  } catch (error) {
    throw new Error(`--${flag}: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * The arguments of describe() that a command line asks for, and where to write.
 *
 * @param {string[]} args
 * @param {Map<string, Option>} known
 */
function parseDescription(args, known) {
  /** @type {Record<string, { type: 'string' | 'boolean' }>} */
  const flags = { facts: { type: 'string' }, out: { type: 'string' } };
  for (const [flag, { kind }] of known) {
    flags[flag] = { type: kind === 'boolean' ? 'boolean' : 'string' };
    if (kind === 'boolean') flags[`no-${flag}`] = { type: 'boolean' };
  }
  const { values, positionals } = parseArgs({ args, options: flags, allowPositionals: true });
  const [op, shape, ...more] = positionals;
  if (op === undefined || shape === undefined)
    throw new Error('Which op, of which shape? Such as rmsNorm 4096x1024.');
  if (more.length > 0) throw new Error(`'${more[0]}' is one argument too many.`);
  /** @type {Record<string, any>} */
  const options = { shape: sizes(shape, 'The shape') };
  for (const [flag, { name, kind, nullable }] of known) {
    const [value, off] = [values[flag], values[`no-${flag}`]];
    if (value !== undefined && off) throw new Error(`--${flag} and --no-${flag} contradict each other.`);
    if (off) options[name] = false;
    else if (value === undefined) continue;
    else if (kind === 'boolean') options[name] = true;
    else options[name] = nullable && value === 'null' ? null : kinds[kind]?.read(flag, String(value));
  }
  const facts = values.facts === undefined ? {} : json('facts', String(values.facts));
  return { op, options, facts, out: values.out === undefined ? undefined : String(values.out) };
}

/** `dweight,dbias`, or `none`. @param {string} flag @param {string} text */
function wantsOf(flag, text) {
  const names = text === 'none' ? [] : text.split(',');
  for (const name of names) {
    if (name !== 'dweight' && name !== 'dbias') {
      throw new Error(
        `--${flag} is '${text}'; dweight, dbias, both with a comma between them, or none are needed.`,
      );
    }
  }
  return { dweight: names.includes('dweight'), dbias: names.includes('dbias') };
}

/**
 * A description with the names of files in place of WGSL, and the files: one for each shader that differs.
 *
 * @template {{ dispatches: { label: string, wgsl: string }[] }} Description
 * @param {Description} description
 * @returns {{ manifest: Description, files: Map<string, string> }}
 */
export function manifestOf(description) {
  /** @type {Map<string, string>} */
  const files = new Map();
  const dispatches = description.dispatches.map((dispatch) => {
    const base = dispatch.label.replaceAll(/\W+/g, '-');
    let name = `${base}.wgsl`;
    for (let i = 2; files.has(name) && files.get(name) !== dispatch.wgsl; i++) name = `${base}-${i}.wgsl`;
    files.set(name, dispatch.wgsl);
    return { ...dispatch, wgsl: name };
  });
  return { manifest: { ...description, dispatches }, files };
}

/** @param {string[]} args */
async function described(args) {
  const tables = await library();
  const { op, options, facts, out } = parseDescription(args, optionsOf(tables));
  try {
    return { out, description: tables.describe(op, options, facts) };
  } catch (error) {
    // Here a NormError is about the command line, not about this machine.
    throw error instanceof Error && error.name === 'NormError' ? new Error(error.message) : error;
  }
}

/** @param {string[]} args */
export async function exportKernels(args) {
  const { out, description } = await described(args);
  if (out === undefined) throw new Error('--out is missing: the folder to write to.');
  const { manifest, files } = manifestOf(description);
  mkdirSync(out, { recursive: true });
  for (const [name, wgsl] of files) writeFileSync(join(out, name), `${wgsl}\n`);
  writeFileSync(join(out, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const count = manifest.dispatches.length;
  console.log(`${join(out, 'manifest.json')}: ${count} ${count === 1 ? 'dispatch' : 'dispatches'}`);
  for (const name of files.keys()) console.log(join(out, name));
  return 0;
}

/** @param {string[]} args */
export async function printShaders(args) {
  const { out, description } = await described(args);
  if (out !== undefined) throw new Error('shader prints; export has --out.');
  const { files } = manifestOf(description);
  console.log([...files].map(([name, wgsl]) => `// ${name}\n${wgsl}`).join('\n\n'));
  return 0;
}
