// Joins a kernel with what it needs. A pass makes one record of choices; every kernel of the pass is linked with it and takes
// from it what it asks for. What the kernel binds, and what it reads of the uniform buffer, is read off the result.
import type { Declaration, Part, ShaderModule } from './module.ts';

/**
 * By interface the module that stands for it, by override its value, by alias its type (`X: 'f16'`). A kernel takes what it
 * needs and ignores the rest.
 */
export type Choices = Readonly<Record<string, ShaderModule | number | boolean | string | undefined>>;

/** A storage buffer of a kernel. */
export interface LinkedBinding {
  readonly name: string;
  readonly binding: number;
  readonly access: 'read' | 'read_write';
  /** As WGSL has it: `array<vec4<f32>>`. */
  readonly type: string;
}

/** A number of the uniform buffer; each takes four bytes, in this order. */
export interface LinkedField {
  readonly name: string;
  readonly type: string;
}

/** A WGSL module that is valid by itself. */
export interface Linked {
  readonly name: string;
  readonly code: string;
  readonly bindings: readonly LinkedBinding[];
  readonly fields: readonly LinkedField[];
  /** The values of the overrides and types that it reaches. */
  readonly constants: Readonly<Record<string, number | boolean | string>>;
}

/** Everything that a kernel may reach: the modules that it needs and those that were chosen, before itself. */
function modulesOf(kernel: ShaderModule, choices: Choices): ShaderModule[] {
  const found = new Set<ShaderModule>();
  const add = (module: ShaderModule) => {
    if (found.has(module)) return;
    for (const need of module.needs) {
      const chosen = typeof need === 'string' ? choices[need] : need;
      // What a flag turns off need not be chosen: what is missing shows where a name is not found.
      if (chosen !== undefined) add(chosen as ShaderModule);
    }
    found.add(module);
  };
  add(kernel);
  return [...found];
}

/**
 * The text of a kernel with all that it reaches from `main`, and nothing else.
 *
 * @throws Error where the choices lack what the kernel reaches: a fault of this library.
 */
export function link(kernel: ShaderModule, choices: Choices): Linked {
  const modules = modulesOf(kernel, choices);
  const table = new Map<string, Declaration>();
  for (const { declarations } of modules) for (const one of declarations) table.set(one.name, one);
  const find = (name: string): Declaration => {
    const found = table.get(name);
    if (!found) throw new Error(`${kernel.name} reaches ${name}, which none of its modules declares.`);
    return found;
  };
  const chosenValue = (name: string): number | boolean | string => {
    const { value } = find(name) as { value: string };
    return (choices[name] as number | boolean | string | undefined) ?? value;
  };

  const texts = new Map<Declaration, string>();
  const enables = new Set<string>();
  const reach = (name: string): void => {
    if (name.startsWith('enable ')) {
      enables.add(name);
      return;
    }
    const one = find(name);
    if (texts.has(one)) return;
    texts.set(one, '');
    if (one.kind === 'code') texts.set(one, textOf(one.body));
    else if (one.kind !== 'alias' || choices[name] === undefined) one.refs.forEach(reach);
  };
  const textOf = (parts: readonly Part[]): string =>
    parts
      .map((part) => {
        if ('flag' in part)
          return textOf(String(chosenValue(part.flag)) === 'true' ? part.taken : part.otherwise);
        const [text, ...refs] = part;
        refs.forEach(reach);
        return text;
      })
      .filter(Boolean)
      .join('\n');
  reach('main');

  const bindings: LinkedBinding[] = [];
  const fields: LinkedField[] = [];
  const constants: Record<string, number | boolean | string> = {};
  const constantLines: string[] = [];
  const blocks: string[] = [];
  for (const one of modules.flatMap(({ declarations }) => declarations)) {
    if (!texts.has(one)) continue;
    if (one.kind === 'field') fields.push({ name: one.name.slice('params.'.length), type: one.type });
    else if (one.kind === 'code') blocks.push(texts.get(one) as string);
    else if (one.kind === 'storage') {
      bindings.push({ name: one.name, binding: 0, access: one.access, type: one.type });
    } else {
      const value = chosenValue(one.name);
      constants[one.name] = value;
      if (one.kind === 'alias') constantLines.push(`alias ${one.name} = ${value};`);
      else constantLines.push(`const ${one.name}: ${one.type} = ${literal(value, one.type)};`);
      if (value === 'f16') enables.add('enable f16');
    }
  }
  const first = fields.length > 0 ? 1 : 0;
  const numbered = bindings.map((one, i) => ({ ...one, binding: first + i }));
  const uniform =
    first > 0
      ? [
          `struct Params {\n${fields.map(({ name, type }) => `${name}: ${type},`).join('\n')}\n}`,
          '@group(0) @binding(0) var<uniform> params: Params;',
        ]
      : [];
  const declared = numbered.map(
    ({ name, binding, access, type }) =>
      `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: ${type};`,
  );
  const heads = [...enables].sort().map((one) => `${one};`);
  const lines = [...heads, ...constantLines, ...uniform, ...declared].join('\n');
  return {
    name: kernel.name,
    code: indented([lines, ...blocks].filter(Boolean).join('\n\n')),
    bindings: numbered,
    fields,
    constants,
  };
}

/** A number as WGSL writes one of this type; what the shader itself says stands as it is. */
function literal(value: number | boolean | string, type: string | undefined): string {
  if (typeof value !== 'number') return String(value);
  if (type === 'u32') return `${value}u`;
  return type === 'f32' && Number.isInteger(value) ? `${value}.0` : String(value);
}

/** Lines indented by the braces and parentheses that are open before them. */
function indented(text: string): string {
  let depth = 0;
  return text
    .split('\n')
    .map((line) => {
      const opened = line.replace(/[^{(]/g, '').length;
      const closed = line.replace(/[^})]/g, '').length;
      const own = /^[})]/.test(line) ? depth - 1 : depth;
      depth += opened - closed;
      return line && '  '.repeat(own) + line;
    })
    .join('\n');
}
