// `webgpu-norm export` and `webgpu-norm shader`: kernels as files, for other runtimes.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

/** Options of both commands, by what becomes of their values. */
const numbers = ['num-groups', 'eps', 'momentum', 'negative-slope', 'size', 'alpha', 'beta', 'k'];
const texts = ['pass', 'dtype', 'param-dtype', 'layout', 'cast', 'activation', 'running-variance'];
const flags = ['weight', 'bias', 'residual', 'dsum', 'training', 'statistics', 'variance', 'accumulate'];
const running = ['running-mean', 'running-var', 'num-batches-tracked'];

/** @type {Record<string, { type: 'string' | 'boolean' }>} */
const parsed = {
  ...Object.fromEntries(
    [...numbers, ...texts, 'normalized-shape', 'wants', 'schedule', 'facts', 'out'].map((name) => [
      name,
      { type: 'string' },
    ]),
  ),
  ...Object.fromEntries(
    [...flags, ...running].flatMap((name) => [
      [name, { type: 'boolean' }],
      [`no-${name}`, { type: 'boolean' }],
    ]),
  ),
};

/** `param-dtype` as the library calls it. @param {string} name */
const camel = (name) => name.replaceAll(/-(\w)/g, (_, letter) => letter.toUpperCase());

/** @param {string} name @param {string} text */
function number(name, text) {
  if (text.trim() === '' || Number.isNaN(Number(text)))
    throw new Error(`--${name} is '${text}', which is no number.`);
  return Number(text);
}

/** Sizes such as 4096x1024. @param {string} text @param {string} what */
function sizes(text, what) {
  if (!/^\d+(x\d+)*$/.test(text))
    throw new Error(`${what} is '${text}'; sizes such as 4096x1024 are needed.`);
  return text.split('x').map(Number);
}

/** What JSON says, in the argument itself or in a file. @param {string} name @param {string} text */
function json(name, text) {
  try {
    return JSON.parse(text.trimStart().startsWith('{') ? text : readFileSync(text, 'utf8'));
  } catch (error) {
    throw new Error(`--${name}: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * The arguments of describe() that a command line asks for, and where to write.
 *
 * @param {string[]} args
 */
export function parseDescription(args) {
  const { values, positionals } = parseArgs({ args, options: parsed, allowPositionals: true });
  const [op, shape, ...more] = positionals;
  if (op === undefined || shape === undefined)
    throw new Error('Which op, of which shape? Such as rmsNorm 4096x1024.');
  if (more.length > 0) throw new Error(`'${more[0]}' is one argument too many.`);
  /** @type {Record<string, any>} */
  const options = { shape: sizes(shape, 'The shape') };
  for (const [name, value] of Object.entries(values)) {
    const text = String(value);
    if (name === 'out' || name === 'facts') continue;
    if (name.startsWith('no-')) {
      if (values[name.slice(3)] !== undefined)
        throw new Error(`--${name.slice(3)} and --${name} contradict each other.`);
      options[camel(name.slice(3))] = false;
    } else if (name === 'momentum' && text === 'null') options.momentum = null;
    else if (numbers.includes(name)) options[camel(name)] = number(name, text);
    else if (name === 'normalized-shape') options.normalizedShape = sizes(text, '--normalized-shape');
    else if (name === 'wants') options.wants = wantsOf(text);
    else if (name === 'schedule') options.schedule = json(name, text);
    else options[camel(name)] = value;
  }
  const facts = values.facts === undefined ? {} : json('facts', String(values.facts));
  return { op, options, facts, out: values.out === undefined ? undefined : String(values.out) };
}

/** `dweight,dbias`, or `none`. @param {string} text */
function wantsOf(text) {
  const names = text === 'none' ? [] : text.split(',');
  for (const name of names) {
    if (name !== 'dweight' && name !== 'dbias') {
      throw new Error(
        `--wants is '${text}'; dweight, dbias, both with a comma between them, or none are needed.`,
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
  const { op, options, facts, out } = parseDescription(args);
  const { describe } = await import(new URL('../dist/kernels.js', import.meta.url).href);
  try {
    return { out, description: describe(op, options, facts) };
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
