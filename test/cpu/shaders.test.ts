/** The files under shaders/, what a build makes of them, and the kernels that are linked from them. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { fileOf, isInterface, parse, pathOf, shaderFiles, worldOf } from '../../scripts/lib/wgsl-modules.mjs';
import type { Kernel, Step } from '../../src/gpu/program.ts';
import { type Choices, link } from '../../src/shaders/link.ts';
import type { Declaration, Part, ShaderModule } from '../../src/shaders/module.ts';
import { everyStep } from '../support/variants.ts';

type File = ReturnType<typeof fileOf>;
type World = ReturnType<typeof worldOf>;

const files = shaderFiles();
const world = worldOf(files.values());

/** The lines of a text without their indentation. */
const trimmed = (text: string) => text.replace(/^ +/gm, '');

const namesOf = (file: File, world: World) => parse(file, world).map(({ name }) => name);

/** The names that a declaration refers to, whatever its flags. */
function refsOf(declaration: Declaration): string[] {
  const inParts = (parts: readonly Part[]): string[] =>
    parts.flatMap((part) =>
      typeof part === 'string'
        ? (part.split('\n', 1)[0] as string).split(' ').filter(Boolean)
        : [part[0], ...inParts(part[1]), ...inParts(part[2])],
    );
  const refs = declaration.kind === 'code' ? inParts(declaration.body) : declaration.refs;
  return refs.filter((name) => !name.startsWith('enable:'));
}

/** Where the head of a file does not say what its declarations refer to. */
function faultsOfHead(file: File, text: string, files: ReadonlyMap<string, File>): string[] {
  const world = worldOf(files.values());
  const own = new Set(namesOf(file, world));
  const refs = new Set(
    parse(file, world)
      .flatMap(refsOf)
      .filter((name) => !own.has(name)),
  );
  const sources = new Map(
    file.needs.map((need) => {
      const folder = isInterface(need, files as Map<string, File>) ? `interfaces/${need}/` : `shared/${need}`;
      const found = [...files].filter(([name]) =>
        folder.endsWith('/') ? name.startsWith(folder) : name === folder,
      );
      return [`needs ${need}`, new Set(found.flatMap(([, one]) => namesOf(one, world)))];
    }),
  );
  const given = [...text.matchAll(/^\/\/ given by the kernel: (.*)$/gm)].flatMap(([, list = '']) =>
    list.trim().split(/\s+/),
  );
  for (const name of given) sources.set(`is given ${name}`, new Set([name]));
  const all = [...sources.values()];
  return [
    ...[...sources]
      .filter(([, names]) => ![...names].some((name) => refs.has(name)))
      .map(([what]) => `${what} for nothing`),
    ...[...refs]
      .filter((name) => !all.some((names) => names.has(name)))
      .map((name) => `does not say where ${name} is from`),
    ...file.needs
      .filter((need, i) => i > 0 && need <= (file.needs[i - 1] as string))
      .map((need) => `needs ${need} out of order`),
  ];
}

describe('files', () => {
  it('have their names in their first lines', () => {
    expect(files.size).toBeGreaterThan(70);
    for (const name of files.keys()) {
      const [, , short] = /^(kernels|interfaces|shared)\/(.*)$/.exec(name) ?? [];
      expect(readFileSync(pathOf(name), 'utf8').split('\n', 1)[0], name).toBe(`// ${short}`);
    }
  });

  it('say in their heads what they need, and nothing else', () => {
    const faults = [...files].flatMap(([name, file]) =>
      faultsOfHead(file, readFileSync(pathOf(name), 'utf8'), files).map((fault) => `${name} ${fault}`),
    );
    expect(faults).toEqual([]);
  });

  it('have heads whose faults are found', () => {
    const texts = {
      'shared/numbers': 'struct Params {\n  count: u32,\n}\nvar<uniform> params: Params;',
      'shared/halves': 'override EXACT: bool = false;\nfn half_of(v: f32) -> f32 {\n  return v / 2.0;\n}',
      'interfaces/way/plain': 'fn way(v: f32) -> f32 {\n  return v;\n}',
      'interfaces/way/fancy':
        'var<storage, read> bends: array<f32>;\nfn way(v: f32) -> f32 {\n  return bends[0] * v;\n}',
    };
    const body =
      'fn main() {\n  if (EXACT) {\n    y[params.count] = half_of(way(0.0));\n  } else {\n    y[0] = bends[1] + x[0];\n  }\n}';
    const faultsOf = (head: string) => {
      const text = `// kernel\n${head}\nvar<storage, read_write> y: array<f32>;\n${body}`;
      const file = fileOf('shared/kernel', text);
      const x = fileOf('kernels/other', 'var<storage, read> x: array<f32>;');
      const others = Object.entries(texts).map(([name, one]) => [name, fileOf(name, one)] as const);
      return faultsOfHead(file, text, new Map([['shared/kernel', file], ['kernels/other', x], ...others]));
    };
    expect(faultsOf('// needs: halves numbers way\n// given by the kernel: x')).toEqual([]);
    expect(faultsOf('// needs: halves way\n// given by the kernel: x')).toEqual([
      'does not say where params.count is from',
    ]);
    expect(faultsOf('// needs: numbers way\n// given by the kernel: x')).toEqual([
      'does not say where EXACT is from',
      'does not say where half_of is from',
    ]);
    expect(faultsOf('// needs: halves nothing numbers way\n// given by the kernel: x z')).toEqual([
      'needs nothing for nothing',
      'is given z for nothing',
    ]);
    expect(faultsOf('// needs: way numbers halves\n// given by the kernel: x')).toEqual([
      'needs numbers out of order',
      'needs halves out of order',
    ]);
    expect(faultsOf('// needs: halves numbers\n// given by the kernel: x')).toEqual([
      'does not say where way is from',
      'does not say where bends is from',
    ]);
    expect(faultsOf('// needs: halves numbers way')).toEqual(['does not say where x is from']);
  });

  it('have no six lines twice', () => {
    interface Place {
      name: string;
      lines: readonly { text: string; number: number }[];
      at: number;
    }
    const seen = new Map<string, Place>();
    const twice: string[] = [];
    const shown = ({ name, lines, at }: Place, count: number) =>
      `${name}:${lines[at]?.number}-${lines[at + count - 1]?.number}`;
    for (const [name] of files) {
      const lines = readFileSync(pathOf(name), 'utf8')
        .split('\n')
        .map((line, i) => ({ text: line.replace(/\/\/.*/, '').trim(), number: i + 1 }))
        .filter(({ text }) => text);
      for (let at = 0; at + 6 <= lines.length; at++) {
        const key = lines.slice(at, at + 6).map(({ text }) => text);
        const before = seen.get(key.join('\n'));
        if (!before) {
          seen.set(key.join('\n'), { name, lines, at });
          continue;
        }
        if (before.name === name && at < before.at + 6) continue; // a row of closing braces
        let count = 6;
        while (at + count < lines.length && lines[at + count]?.text === before.lines[before.at + count]?.text)
          count++;
        twice.push(`${shown(before, count)} and ${shown({ name, lines, at }, count)}, ${count} lines`);
        at += count - 6;
      }
    }
    expect(twice).toEqual([]);
  });
});

/** Made-up modules, by name; each may need those before it, and `any way` an alternative. */
function modulesOf<Name extends string>(
  texts: Readonly<Record<Name, string>>,
  needs: Partial<Record<NoInfer<Name>, string[]>> = {},
): Record<Name, ShaderModule> {
  const parsed = Object.entries<string>(texts).map(([name, text]) => fileOf(name, text));
  const world = worldOf(parsed);
  const made: Record<string, ShaderModule> = {};
  for (const file of parsed) {
    const wanted: readonly string[] = needs[file.name as Name] ?? [];
    made[file.name] = {
      name: file.name,
      needs: wanted.map((need) =>
        need.startsWith('any ') ? need.slice('any '.length) : (made[need] as ShaderModule),
      ),
      declarations: parse(file, world),
    };
  }
  return made as Record<Name, ShaderModule>;
}

const buffers = ['a', 'b', 'c', 'd']
  .map((name) => `var<storage, read_write> ${name}: array<f32>;\n`)
  .join('');
const flags = 'override FLAG: bool = false;\noverride OTHER: bool = true;\n';

/** What main comes to with these choices: its body, and the buffers that it binds. */
function mainOf(body: string, choices: Choices = {}): { body: string; bound: string } {
  const { kernel } = modulesOf({ kernel: `${flags}${buffers}fn main() {\n${body}\n}` } as const);
  const { code, bindings } = link(kernel, choices);
  const [, found = ''] = /fn main\(\) \{\n([\s\S]*)\}$/.exec(code) ?? [];
  return { body: trimmed(found).trim(), bound: bindings.map(({ name }) => name).join('') };
}

describe('linking', () => {
  it('takes one of two branches, and binds what that needs', () => {
    const body = 'a[0] = 1.0;\nif (FLAG) {\n  b[0] = 1.0;\n} else {\n  c[0] = 1.0;\n}\nd[0] = 1.0;';
    const rest = (name: string) => `a[0] = 1.0;\n${name}[0] = 1.0;\nd[0] = 1.0;`;
    expect(mainOf(body)).toEqual({ body: rest('c'), bound: 'acd' });
    expect(mainOf(body, { FLAG: true })).toEqual({ body: rest('b'), bound: 'abd' });
    expect(mainOf(body, { FLAG: false })).toEqual({ body: rest('c'), bound: 'acd' });
    expect(mainOf(body.replace('(FLAG', '(!FLAG'))).toEqual({ body: rest('b'), bound: 'abd' });
    expect(mainOf(body.replace('(FLAG', '(!FLAG'), { FLAG: true })).toEqual({
      body: rest('c'),
      bound: 'acd',
    });
  });

  it('leaves nothing of a branch that is not taken and has no other', () => {
    const body = 'if (FLAG) {\n  b[0] = 1.0;\n}\na[0] = 1.0;';
    expect(mainOf(body)).toEqual({ body: 'a[0] = 1.0;', bound: 'a' });
    expect(mainOf(body, { FLAG: true })).toEqual({ body: 'b[0] = 1.0;\na[0] = 1.0;', bound: 'ab' });
  });

  it('takes branches in branches', () => {
    const body =
      'if (FLAG) {\n  if (!OTHER) {\n    a[0] = 1.0;\n  } else {\n    b[0] = 1.0;\n  }\n} else {\n  if (OTHER) {\n    c[0] = 1.0;\n  }\n}';
    expect(mainOf(body, { FLAG: true }).bound).toBe('b');
    expect(mainOf(body, { FLAG: true, OTHER: false }).bound).toBe('a');
    expect(mainOf(body).body).toBe('c[0] = 1.0;');
    expect(mainOf(body, { OTHER: false })).toEqual({ body: '', bound: '' });
  });

  it('takes chains of else if', () => {
    const body =
      'if (FLAG) {\n  a[0] = 1.0;\n} else if (OTHER) {\n  b[0] = 1.0;\n} else {\n  c[0] = 1.0;\n}\nd[0] = 1.0;';
    expect(mainOf(body, { FLAG: true }).bound).toBe('ad');
    expect(mainOf(body).body).toBe('b[0] = 1.0;\nd[0] = 1.0;');
    expect(mainOf(body, { OTHER: false }).bound).toBe('cd');
    const dynamic = body.replace('(OTHER)', '(d[0] > 0.0)');
    expect(mainOf(dynamic).body).toBe(
      'if (d[0] > 0.0) {\nb[0] = 1.0;\n} else {\nc[0] = 1.0;\n}\nd[0] = 1.0;',
    );
    expect(mainOf(dynamic, { FLAG: true }).bound).toBe('ad');
    expect(() => mainOf('if (d[0] > 0.0) {\n} else if (FLAG) {\n}')).toThrow(/FLAG stands behind else/);
  });

  it('leaves conditions alone that are more than a flag', () => {
    const body = 'if (FLAG && a[0] > 0.0) {\nb[0] = 1.0;\n}';
    expect(mainOf(body)).toEqual({ body, bound: 'ab' });
  });

  it('gives the numbers, types and buffers that are reached, and no others', () => {
    const texts = {
      numbers:
        'struct Params {\n  count: u32,  // how many\n  unused: u32,\n  scale: f32,\n}\nvar<uniform> params: Params;\nalias X = f32;\nalias X4 = vec4<X>;\noverride SIZE: u32 = 4u;\noverride UNUSED: u32 = 1u;',
      helper:
        'fn scaled(v: X4) -> X4 {\n  return v * X(params.scale);\n}\nfn lonely() -> f32 {\n  return 0.0;\n}',
      kernel:
        'var<storage, read> x: array<X4>;\nvar<storage, read> z: array<X4>;\nvar<storage, read_write> y: array<X4>;\n@compute @workgroup_size(SIZE)\nfn main() {\n  if (params.count > 0u) {\n    y[0] = scaled(x[0]);\n  }\n}',
    };
    const { kernel } = modulesOf(texts, { helper: ['numbers'], kernel: ['helper', 'numbers'] });
    const { code, ...rest } = link(kernel, { X: 'f16', SIZE: 8, ELSEWHERE: 3 });
    expect(rest).toEqual({
      name: 'kernel',
      bindings: [
        { name: 'x', binding: 1, access: 'read', writes: false, type: 'array<X4>' },
        { name: 'y', binding: 2, access: 'read_write', writes: true, type: 'array<X4>' },
      ],
      fields: [
        { name: 'count', type: 'u32' },
        { name: 'scale', type: 'f32' },
      ],
      enables: ['f16'],
      workgroupMemory: [],
      constants: { X: 'f16', X4: 'vec4<X>', SIZE: 8 },
    });
    expect(code).toBe(`enable f16;
alias X = f16;
alias X4 = vec4<X>;
const SIZE: u32 = 8u;
struct Params {
  count: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X4>;
@group(0) @binding(2) var<storage, read_write> y: array<X4>;

fn scaled(v: X4) -> X4 {
  return v * X(params.scale);
}

@compute @workgroup_size(SIZE)
fn main() {
  if (params.count > 0u) {
    y[0] = scaled(x[0]);
  }
}`);
  });

  it('binds what is shared as read_write, and knows that it is only read', () => {
    const read = buffers.replace('read_write> b', 'read> b');
    const { kernel } = modulesOf({ kernel: `${read}fn main() {\n  a[0] = b[0];\n}` }, {});
    const bindingsOf = (...shared: string[]) =>
      link(kernel, {}, (name) => shared.includes(name)).bindings.map(
        ({ name, access, writes }) => `${name} ${access} ${writes}`,
      );
    expect(bindingsOf()).toEqual(['a read_write true', 'b read false']);
    expect(bindingsOf('b')).toEqual(['a read_write true', 'b read_write false']);
  });

  it('takes the alternative that is chosen, and misses one only where it is reached', () => {
    const texts = {
      plain: 'fn way(v: f32) -> f32 {\n  return v;\n}',
      twice: 'fn way(v: f32) -> f32 {\n  return 2.0 * v;\n}',
      kernel: `${flags}${buffers}fn main() {\n  if (FLAG) {\n    a[0] = way(b[0]);\n  } else {\n    a[0] = b[0];\n  }\n}`,
    };
    const { plain, twice, kernel } = modulesOf(texts, { kernel: ['any way'] });
    expect(link(kernel, { FLAG: true, way: plain }).code).toContain('return v;');
    expect(link(kernel, { FLAG: true, way: twice }).code).toContain('return 2.0 * v;');
    expect(link(kernel, { way: twice }).code).not.toContain('2.0');
    expect(link(kernel, {}).code).toBe(link(kernel, { way: twice }).code);
    expect(() => link(kernel, { FLAG: true })).toThrow(
      'kernel reaches way, which none of its modules declares.',
    );
  });

  it('says which module has no main, and which names a variable like a declaration', () => {
    const { kernel } = modulesOf({ kernel: 'fn other() {\n}' });
    expect(() => link(kernel, {})).toThrow('kernel reaches main');
    const clash = (text: string) => modulesOf({ first: 'fn taken() {\n}', second: text });
    expect(() => clash('fn f() {\n  let taken = 1.0;\n}')).toThrow(/second.*f has a variable taken/);
    expect(() => clash('fn f(taken: f32) {\n}')).toThrow(/f has a variable taken/);
    expect(() => clash('fn f(v: Free) {\n  let free = v.taken;\n}')).not.toThrow();
  });

  it('gives other code where a constant that is reached is another', () => {
    const text = `${flags}${buffers}alias X = f32;\noverride SIZE: u32 = 1u;\noverride SLOPE: f32 = 0.0;\noverride UNUSED: u32 = 1u;\nfn main() {\n  if (OTHER) {\n    a[SIZE] = f32(X(SLOPE));\n  }\n  let on = select(0.0, 1.0, FLAG);\n}`;
    const { kernel } = modulesOf({ kernel: text });
    const codeOf = (choices: Choices) => link(kernel, choices).code;
    const codes = [
      {},
      { X: 'f16' },
      { SIZE: 2 },
      { SLOPE: 2 },
      { SLOPE: 0.5 },
      { FLAG: true },
      { OTHER: false },
    ].map(codeOf);
    expect(new Set(codes).size).toBe(codes.length);
    expect(codeOf({ UNUSED: 5 })).toBe(codes[0]);
    expect(codeOf({ OTHER: false, SIZE: 5 })).toBe(codes.at(-1));
    expect(codeOf({ SLOPE: 2 })).toContain('const SLOPE: f32 = 2.0;');
  });
});

describe('variants', () => {
  let steps: Step[] = [];
  let kernels: Kernel[] = [];

  beforeAll(() => {
    steps = (['f16', 'packed'] as const).flatMap((storage) => [
      ...everyStep(true, storage),
      ...everyStep(false, storage),
    ]);
    kernels = [...new Map(steps.map(({ kernel }) => [kernel.code, kernel])).values()];
  });

  it('are a few hundred, of which those with the same code are the same', () => {
    expect(kernels.length).toBeGreaterThan(300);
    const known = new Map<string, string>();
    for (const { kernel } of steps) {
      const { code, name, fields, constants } = kernel;
      // What is bound may be called otherwise: a sum that a pass before stored is x.
      const bindings = kernel.bindings.map(({ role, updates, writes, ...rest }) => rest);
      const all = JSON.stringify({ name, fields, constants, bindings });
      expect(known.get(code) ?? all).toBe(all);
      known.set(code, all);
    }
  });

  it('have the constants of their code, so that another value is another kernel', () => {
    for (const { name, code, constants } of kernels) {
      const found = [...code.matchAll(/^(?:const|alias) ([A-Z]\w*)(?:: (\w+))? = (.*);$/gm)];
      const declared = found.map(([, constant, type, text = '']) => [
        constant,
        type === 'u32' || type === 'i32' || type === 'f32' ? Number.parseFloat(text) : text,
      ]);
      for (const [constant, value] of Object.entries(constants)) {
        const same =
          typeof value === 'number'
            ? value
            : /^[\d.]+[uif]?$/.test(value as string)
              ? Number.parseFloat(value as string)
              : String(value);
        expect(declared, name).toContainEqual([constant, same]);
      }
      expect(code, name).not.toMatch(/\boverride\b/);
    }
  });

  it('declare nothing that they do not use', () => {
    for (const { name, code, fields } of kernels) {
      const declared = code.matchAll(/^(?:@\w+\([^)]*\) )*(?:fn|struct|const|alias|var<[^>]*>) (\w+)/gm);
      for (const [, found] of declared) {
        if (found === 'main') continue;
        const uses = code.match(new RegExp(`(?<![.\\w])${found}\\b`, 'g')) ?? [];
        expect(uses.length, `${found} in ${name}`).toBeGreaterThan(1);
      }
      for (const { name: field } of fields) {
        expect(code, `${field} in ${name}`).toMatch(new RegExp(`\\bparams\\.${field}\\b`));
      }
    }
  });

  it('bind at most the eight storage buffers of the WebGPU floor, numbered without gaps', () => {
    for (const { name, code, bindings, fields } of kernels) {
      const declared = [
        ...code.matchAll(/^@group\(0\) @binding\((\d+)\) var<(uniform|storage), ?(\w*)> (\w+): (.*);$/gm),
      ].map(([, number, , access, called, type]) => ({
        name: called,
        binding: Number(number),
        access,
        type,
      }));
      const uniform = /^@group\(0\) @binding\(0\) var<uniform> params: Params;$/m.test(code);
      expect(uniform, name).toBe(fields.length > 0);
      expect(
        bindings.map(({ role, updates, writes, ...rest }) => rest),
        name,
      ).toEqual(declared);
      const numbers = declared.map(({ binding }) => binding);
      expect(numbers, name).toEqual(numbers.map((_, i) => i + Number(uniform)));
      expect(code.match(/@binding\(/g)?.length, name).toBe(numbers.length + Number(uniform));
      expect(new Set(declared.map((one) => one.name)).size, name).toBe(declared.length);
      expect(new Set(bindings.map(({ role }) => role)).size, name).toBe(bindings.length);
      expect(bindings.length, name).toBeLessThanOrEqual(8);
    }
  });

  it('read and write packed tensors through shared/storage.wgsl alone', () => {
    // WGSL converts a word of two elements to a number without a murmur.
    let packed = 0;
    // Those of convert/cast are no pairs, but words that are copied.
    for (const { name, code } of kernels.filter((one) => one.name !== 'convert/cast')) {
      for (const [, alias] of code.matchAll(/^alias (X|W) = u32;$/gm)) {
        expect(code, `${name} makes a word of a number`).not.toMatch(new RegExp(`\\b${alias}\\(`));
        const arrays = code.matchAll(new RegExp(`> (\\w+): array<(?:SHARED_)?${alias}>;`, 'g'));
        for (const [, buffer] of arrays) {
          packed++;
          expect(code, `${name} makes a number of a word`).not.toMatch(new RegExp(`f32\\(${buffer}\\[`));
        }
      }
    }
    expect(packed).toBeGreaterThan(100);
  });

  it('have workgroups of WORKGROUP threads', () => {
    for (const { name, code, constants } of kernels) {
      expect(code, name).toContain('@compute @workgroup_size(WORKGROUP) fn main(');
      expect(Number(constants.WORKGROUP), name).toBeGreaterThan(0);
    }
  });

  it('have the numbers that the host packs', () => {
    for (const { name, code, fields } of kernels) {
      const struct = /^struct Params \{([^}]*)\}/m.exec(code)?.[1] ?? '';
      const declared = [...struct.matchAll(/^\s*(\w+): (\w+),$/gm)].map(([, name, type]) => ({ name, type }));
      expect(fields, name).toEqual(declared);
    }
    for (const { kernel, params } of steps)
      expect(params.byteLength, kernel.name).toBe(4 * kernel.fields.length);
  });

  it('reach every file', () => {
    const codes = kernels.map(({ code }) => trimmed(code));
    const reached = (one: Declaration): boolean => {
      if (one.kind === 'code') {
        // What no flag decides stands as it is; alternatives differ in that.
        const texts = one.body.flatMap((part) =>
          typeof part === 'string' ? [trimmed(part.slice(part.indexOf('\n') + 1))] : [],
        );
        return codes.some((code) => texts.every((text) => code.includes(text)));
      }
      if (one.kind === 'field')
        return kernels.some(({ fields }) => fields.some(({ name }) => `params.${name}` === one.name));
      if (one.kind === 'storage')
        return kernels.some(({ bindings }) => bindings.some(({ name }) => name === one.name));
      return kernels.some(({ constants }) => one.name in constants);
    };
    const unused = [...files]
      // Flags alone decide what others have: nothing of such a file stands in a kernel.
      .filter(([, file]) => parse(file, world).some(({ kind }) => kind !== 'override'))
      .filter(([, file]) => !parse(file, world).some(reached))
      .map(([name]) => name);
    expect(unused).toEqual([]);
  });
});
