/** What host and shaders must agree on, read from both sides. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nameOf } from '../../src/kernels/assemble.ts';
import { floatFields, packParams, paramFields } from '../../src/kernels/params.ts';
import { responseFields, responseFloats } from '../../src/kernels/response.ts';
import { bindingOf } from '../../src/kernels/roles.ts';
import * as sources from '../../src/kernels/sources.ts';
import { everyKernel } from '../support/variants.ts';

const root = join(import.meta.dirname, '../../shaders');
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.wgsl'),
);
const text = (name: string) => readFileSync(join(root, name), 'utf8');

describe('shaders', () => {
  it('has the fields of Params in the order and with the types that the host packs', () => {
    const struct = /struct Params \{([^}]*)\}/.exec(text('lib/params.wgsl'))?.[1] ?? '';
    const fields = [...struct.matchAll(/^\s*(\w+): (\w+),/gm)].map(([, name, type]) => [name, type]);
    expect(fields).toEqual(paramFields.map((name) => [name, floatFields.has(name) ? 'f32' : 'u32']));
    const packed = new DataView(packParams({ samples: 7, eps: 0.5, cols: 3 }));
    expect(packed.byteLength).toBe(4 * paramFields.length);
    expect(packed.getUint32(0, true)).toBe(7);
    expect(packed.getUint32(4 * paramFields.indexOf('cols'), true)).toBe(3);
    expect(packed.getFloat32(4 * paramFields.indexOf('eps'), true)).toBe(0.5);
    expect(packed.getUint32(4 * paramFields.indexOf('mask'), true)).toBe(0xffffffff);
  });

  it('has the fields of the other structs of numbers in the order that the host packs', () => {
    const struct = /struct Params \{([^}]*)\}/.exec(text('response/params.wgsl'))?.[1] ?? '';
    const fields = [...struct.matchAll(/^\s*(\w+): (\w+),/gm)].map(([, name, type]) => [name, type]);
    expect(fields).toEqual(responseFields.map((name) => [name, responseFloats.has(name) ? 'f32' : 'u32']));
  });

  it('declares every binding under the number of its role', () => {
    const numbers = new Set<number>(Object.values(bindingOf));
    for (const file of files) {
      for (const [, number, name] of text(file).matchAll(/@binding\((\d+)\) var<storage, \w+> (\w+):/g)) {
        expect(numbers, file).toContain(Number(number));
        if (name !== undefined && name in bindingOf) {
          expect(Number(number), `${name} in ${file}`).toBe(bindingOf[name as keyof typeof bindingOf]);
        }
      }
    }
  });

  it('exports every file of shaders/ to the assembler, by the name in its first line, and nothing else', () => {
    for (const file of files) {
      const name = file.replaceAll('\\', '/').replace('lib/', '').replace('.wgsl', '');
      expect(nameOf(text(file)), file).toBe(name);
    }
    const names = Object.values(sources).map((source) => nameOf(source).replace(/^(?!.*\/)/, 'lib/'));
    expect(names.sort()).toEqual(files.map((name) => name.replaceAll('\\', '/').replace('.wgsl', '')).sort());
  });

  it('reaches every file from some variant', () => {
    const code = [...everyKernel(true, true).values(), ...everyKernel(false, true).values()].map((k) =>
      k.code(),
    );
    for (const [name, source] of Object.entries(sources)) {
      expect(
        name === 'reduceSerial' || code.some((one) => one.includes(source)),
        `${name} is in no variant`,
      ).toBe(true);
    }
  });
});

describe('variants', () => {
  const kernels = [...everyKernel(true, true), ...everyKernel(false, true)];

  it('has a few hundred, each within the eight storage buffers of the WebGPU floor', () => {
    expect(kernels.length).toBeGreaterThan(500);
    for (const [key, kernel] of kernels) {
      expect(kernel.bindings.length, key).toBeLessThanOrEqual(8);
      expect(new Set(kernel.bindings.map(({ binding }) => binding)).size, key).toBe(kernel.bindings.length);
    }
  });

  it('declares every override that it sets, and binds what the shader writes as writable', () => {
    for (const [key, kernel] of kernels) {
      const code = kernel.code();
      for (const name of Object.keys(kernel.constants)) {
        expect(code, `${name} in ${key}`).toMatch(new RegExp(`override ${name}:`));
      }
      for (const { role, binding, writes } of kernel.bindings) {
        const access = new RegExp(`@binding\\(${binding}\\) var<storage, (\\w+)>`).exec(code)?.[1];
        expect(access, `${role} in ${key}`).toBe(writes ? 'read_write' : 'read');
      }
    }
  });

  it('gives equal keys to equal shaders only', () => {
    const codes = new Map<string, string>();
    for (const [key, kernel] of kernels) {
      const all = kernel.code() + JSON.stringify(kernel.constants);
      expect(codes.get(key) ?? all).toBe(all);
      codes.set(key, all);
    }
  });
});
