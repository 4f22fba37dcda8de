/** What arguments are corrupted with: everything that JavaScript lets one pass, and that no type allows. */
import { type Gpu, LayerNorm, type Module, Parameter, type Tensor } from '../../src/index.ts';

export const oneOf = <T>(random: () => number, list: readonly T[]): T =>
  list[Math.floor(random() * list.length)] as T;

/** Things of a context, and of another device, that corrupted arguments are made of. */
export interface Junk {
  /** By what messages call them. */
  values: readonly (readonly [name: string, value: unknown])[];
  free(): void;
}

const plain: readonly (readonly [string, unknown])[] = [
  ['undefined', undefined],
  ['null', null],
  ['true', true],
  ['false', false],
  ...[0, -0, 1, -1, 2, 3, 1.5, -7, 255, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, 1e-320, Number.NaN].map(
    (value) => [String(value), value] as const,
  ),
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ...['', 'abc', 'f16', 'u32', 'none', 'relu', 'channels-last', 'constructor', '__proto__', 'before'].map(
    (value) => [`'${value}'`, value] as const,
  ),
  ['5n', 5n],
  ['a symbol', Symbol('fuzz')],
  ['[]', []],
  ['[1, 2]', [1, 2]],
  ['[2, 4]', [2, 4]],
  ['[NaN]', [Number.NaN]],
  ['[-1]', [-1]],
  ["['a']", ['a']],
  ['[[1]]', [[1]]],
  ['[symbol]', [Symbol('fuzz')]],
  ['[5n]', [5n]],
  ['[2 ** 53]', [2 ** 53, 4]],
  ['[0, 4]', [0, 4]],
  ['holes', new Array(3)],
  ['{}', {}],
  ['{ length: 2 }', { length: 2 }],
  ['{ colour }', { colour: 'red' }],
  ['an object without prototype', Object.create(null)],
  ['a function', () => undefined],
  ['an async function', async () => undefined],
  ['a promise', Promise.resolve(5)],
  ['a Date', new Date(0)],
  ['a RegExp', /x/],
  ['a Map', new Map()],
  ['a Map of nonsense', new Map<unknown, unknown>([['weight', 5]])],
  ['a Set', new Set([1])],
  ['a Uint8Array', new Uint8Array(4)],
  ['a Uint32Array', new Uint32Array([2, 4])],
  ['a Float32Array', new Float32Array(3)],
  ['a BigInt64Array', new BigInt64Array(2)],
  ['a DataView', new DataView(new ArrayBuffer(8))],
  ['an ArrayBuffer', new ArrayBuffer(8)],
];

/** All of them. `gpu` makes the tensors; `other` is a context on another device. */
export function junkOf(gpu: Gpu, other: Gpu): Junk {
  const gone = gpu.zeros([2, 4]);
  gone.destroy();
  const goneModule: Module = new LayerNorm(gpu, 4);
  goneModule.destroy();
  const { device } = gpu;
  const encoder = device.createCommandEncoder();
  const passEncoder = device.createCommandEncoder();
  const pass = passEncoder.beginComputePass();
  const tensor: Tensor = gpu.zeros([2, 4]);
  const values: Junk['values'] = [
    ...plain,
    ['a tensor', tensor],
    ['a tensor of another shape', gpu.zeros([3, 5, 7])],
    ['a tensor of counts', gpu.zeros([2, 4], { dtype: 'u32' })],
    ['a scalar', gpu.zeros([])],
    ['an empty tensor', gpu.zeros([0, 4])],
    ['a destroyed tensor', gone],
    ['a tensor of another device', other.zeros([2, 4])],
    ['a Proxy of a tensor', new Proxy(tensor, {})],
    ['a list of tensors', [tensor]],
    ['a context', gpu],
    ['a context of another device', other],
    ['a Proxy of a context', new Proxy(gpu, {})],
    ['a promised context', Promise.resolve(gpu)],
    ['a GPUDevice', device],
    ['a GPUBuffer', tensor.buffer],
    ['a command encoder', encoder],
    ['a compute pass', pass],
    ['a parameter', new Parameter(gpu.zeros([4]))],
    ['a module', new LayerNorm(gpu, 4)],
    ['a Proxy of a module', new Proxy(new LayerNorm(gpu, 4), {})],
    ['a destroyed module', goneModule],
    ['a tensor of f16', gpu.zeros([2, 4], { dtype: 'f16' })],
    ['a tensor of bf16', gpu.zeros([2, 4], { dtype: 'bf16' })],
  ];
  return {
    values,
    free: () => {
      pass.end();
      passEncoder.finish();
      encoder.finish();
    },
  };
}

/** A place in a tree of arguments: indices and names. */
type Path = readonly (string | number)[];

const isTree = (value: unknown): value is Record<string, unknown> =>
  Array.isArray(value) ||
  (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype);

function pathsIn(value: unknown, path: Path, depth: number): Path[] {
  if (!isTree(value) || depth === 0) return [];
  return Object.keys(value)
    .slice(0, 16)
    .flatMap((key) => [[...path, key], ...pathsIn(value[key], [...path, key], depth - 1)]);
}

function copyOf(value: unknown): unknown {
  if (!isTree(value)) return value;
  if (Array.isArray(value)) return value.map(copyOf);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, copyOf(one)]));
}

/** Arguments with one or two things wrong, and which these are. */
export function corrupted(
  args: readonly unknown[],
  junk: Junk,
  random: () => number,
): { args: unknown[]; said: string } {
  const copy = copyOf(args) as unknown[];
  const said: string[] = [];
  for (let count = random() < 0.8 ? 1 : 2; count > 0; count--) {
    const paths = pathsIn(copy, [], 4);
    const path = paths.length === 0 ? ['0'] : oneOf(random, paths);
    const holder = path.slice(0, -1).reduce<unknown>((at, key) => (at as never)[key], copy);
    const key = path.at(-1) as string;
    const at = holder as Record<string, unknown>;
    const chance = random();
    if (chance < 0.08 && !Array.isArray(holder)) {
      at[`${key}s`] = at[key];
      said.push(`${path.join('.')}s is there too`);
    } else if (chance < 0.16 && !Array.isArray(holder)) {
      delete at[key];
      said.push(`${path.join('.')} is missing`);
    } else if (chance < 0.16 && holder === copy) {
      copy.length = Number(key);
      said.push(`arguments end before ${key}`);
    } else {
      const [name, value] = oneOf(random, junk.values);
      at[key] = value;
      said.push(`${path.join('.')} is ${name}`);
    }
  }
  return { args: copy, said: said.join(', ') };
}
