// Joins a kernel with what it needs. A pass makes one record of choices; every kernel of the pass is linked with it and takes
// from it what it asks for. What the kernel binds, and what it reads of the uniform buffer, is read off the result.
import type { Declaration, ShaderModule } from './module.ts';

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
  /** Whether the kernel may write to it: what it only reads is bound as `read_write`, too, where another part of its buffer is written. */
  readonly writes: boolean;
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
  /** WGSL's extensions that it enables: f16, subgroups. */
  readonly enables: readonly string[];
  /** The types of its variables in workgroup memory. */
  readonly workgroupMemory: readonly string[];
  /** The values of the overrides and types that it reaches. */
  readonly constants: Readonly<Record<string, number | boolean | string>>;
}

/**
 * The text of a kernel with all that it reaches from `main`, and nothing else. Three loops without functions of their own: a first
 * call of a norm links all of its kernels, and pays for every function that is entered.
 *
 * @param isShared - whether a storage buffer, by its name in WGSL, is to be bound as `read_write` although it is only read.
 * @throws Error where the choices lack what the kernel reaches: a fault of this library.
 */
export function link(
  kernel: ShaderModule,
  choices: Choices,
  isShared: (name: string) => boolean = () => false,
): Linked {
  // The modules that it needs and those that were chosen, each behind what it needs itself.
  const modules = new Set<ShaderModule>();
  const needing = [kernel];
  for (let module = needing.at(-1); module; module = needing.at(-1)) {
    const before = needing.length;
    for (const need of module.needs) {
      // What a flag turns off need not be chosen: what is missing shows where a name is not found.
      const chosen = (typeof need === 'string' ? choices[need] : need) as ShaderModule | undefined;
      if (chosen && !modules.has(chosen)) {
        needing.push(chosen);
        break;
      }
    }
    if (needing.length > before) continue;
    modules.add(module);
    needing.pop();
  }
  const table = new Map<string, Declaration>();
  for (const { declarations } of modules) for (const one of declarations) table.set(one.name, one);

  // What main reaches: names are added while they are walked over.
  const reached = ['main'];
  const texts = new Map<string, string>();
  for (const name of reached) {
    if (texts.has(name)) continue;
    texts.set(name, '');
    if (name.startsWith('enable:')) continue;
    const one = table.get(name);
    if (!one) throw new Error(`${kernel.name} reaches ${name}, which none of its modules declares.`);
    if (one.kind !== 'code') {
      if (one.kind !== 'alias' || choices[name] === undefined) reached.push(...one.refs);
      continue;
    }
    const lines: string[] = [];
    const parts = one.body.slice().reverse(); // the next one is the last
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      if (typeof part === 'string') {
        const end = part.indexOf('\n');
        if (end > 0) reached.push(...part.slice(0, end).split(' '));
        lines.push(part.slice(end + 1));
        continue;
      }
      const [flag, taken, otherwise] = part;
      const { value = undefined } = (table.get(flag) ?? {}) as { value?: string };
      if (value === undefined)
        throw new Error(`${kernel.name} asks for ${flag}, which none of its modules declares.`);
      parts.push(...(String(choices[flag] ?? value) === 'true' ? taken : otherwise).slice().reverse());
    }
    texts.set(name, lines.join('\n'));
  }

  const bindings: (Omit<LinkedBinding, 'binding'> & { binding: number })[] = [];
  const fields: LinkedField[] = [];
  const constants: Record<string, number | boolean | string> = {};
  const heads: string[] = [];
  const blocks: string[] = [];
  const enables: string[] = texts.has('enable:subgroups') ? ['subgroups'] : [];
  const workgroupMemory: string[] = [];
  for (const one of table.values()) {
    const { name } = one;
    const text = texts.get(name);
    if (text === undefined) continue;
    if (one.kind === 'code') blocks.push(text);
    else if (one.kind === 'workgroup') {
      blocks.push(`var<workgroup> ${name}: ${one.type};`);
      workgroupMemory.push(one.type);
    } else if (one.kind === 'field') fields.push({ name: name.slice('params.'.length), type: one.type });
    else if (one.kind === 'storage') {
      const writes = one.access === 'read_write';
      const access = isShared(name) ? 'read_write' : one.access;
      bindings.push({ name, binding: 0, access, writes, type: one.type });
    } else {
      const value = (choices[name] ?? one.value) as number | boolean | string;
      constants[name] = value;
      if (value === 'f16' && enables[0] !== 'f16') enables.unshift('f16');
      if (one.kind === 'alias') heads.push(`alias ${name} = ${value};`);
      else heads.push(`const ${name}: ${one.type} = ${literal(value, one.type)};`);
    }
  }
  if (fields.length > 0) {
    heads.push('struct Params {');
    for (const { name, type } of fields) heads.push(`  ${name}: ${type},`);
    heads.push('}', '@group(0) @binding(0) var<uniform> params: Params;');
  }
  let next = fields.length > 0 ? 1 : 0;
  for (const one of bindings) {
    one.binding = next++;
    heads.push(`@group(0) @binding(${one.binding}) var<storage, ${one.access}> ${one.name}: ${one.type};`);
  }
  for (const name of enables.slice().reverse()) heads.unshift(`enable ${name};`);
  const code = [heads.join('\n'), ...blocks].filter(Boolean).join('\n\n');
  return { name: kernel.name, code, bindings, fields, enables, workgroupMemory, constants };
}

/** A number as WGSL writes one of this type; what the shader itself says stands as it is. */
function literal(value: number | boolean | string, type: string | undefined): string {
  if (typeof value !== 'number') return String(value);
  if (type === 'u32') return `${value}u`;
  return type === 'f32' && Number.isInteger(value) ? `${value}.0` : String(value);
}
