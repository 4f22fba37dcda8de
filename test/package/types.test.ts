// The package's types in a program with none of this project's settings, the package's own files checked too.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bin } from '../../scripts/lib/paths.mjs';
import { type App, makeApp } from './app.ts';
import { run } from './run.ts';

const program = `
import { type Gpu, init, LayerNorm, NormError, type Tensor } from 'webgpu-norm';
import { LocalProcessGroup, SyncBatchNorm } from 'webgpu-norm/distributed';
import { init as initInNode } from 'webgpu-norm/node';
const gpu: Gpu = await init();
const y: Tensor = new LayerNorm(gpu, 4, { eps: 1e-6 }).forward(gpu.tensor([1, 2, 3, 4], [1, 4]));
const values: Float32Array = await y.data();
console.log(values, await initInNode({ dawn: ['backend=vulkan'] }), NormError);
const [group] = LocalProcessGroup.create(1);
if (group) console.log(new SyncBatchNorm(gpu, 4, { group }).training);
// @ts-expect-error there is no such option
new LayerNorm(gpu, 4, { epsilon: 1e-6 });
`;

/** For programs without a DOM, without WebGPU's types, and without Node's. */
const kernels = `
import { type Description, describe, NormError } from 'webgpu-norm/kernels';
const plan: Description = describe('rmsNorm', { shape: [4, 8], dtype: 'f16', cast: 'gemma' }, { iterations: null });
export const codes: string[] = plan.dispatches.map(({ wgsl }) => wgsl);
export const words: number[] | undefined = plan.dispatches[0]?.uniform?.data;
export const isOurs = (error: unknown): boolean => error instanceof NormError && error.code === 'shape';
// @ts-expect-error there is no such option
describe('rmsNorm', { shape: [4, 8], epsilon: 1e-6 });
// @ts-expect-error there is no such op
describe('powerNorm', { shape: [4, 8] });
`;

let app: App;
beforeAll(async () => {
  app = await makeApp(['@webgpu/types']);
  writeFileSync(join(app.folder, 'main.ts'), program);
  writeFileSync(join(app.folder, 'kernels.ts'), kernels);
}, 120_000);
afterAll(() => app?.remove());

it.each([
  ['esnext', 'bundler'],
  ['nodenext', 'nodenext'],
])('module %s, moduleResolution %s', async (module, moduleResolution) => {
  const settings = { module, moduleResolution, target: 'es2022', lib: 'es2022,dom', types: '@webgpu/types' };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const { stdout } = await run(process.execPath, [bin.tsc, 'main.ts', '--noEmit', '--strict', ...args], {
    cwd: app.folder,
  });
  expect(stdout).toBe('');
});

it.each([
  ['esnext', 'bundler'],
  ['nodenext', 'nodenext'],
])(
  'of webgpu-norm/kernels without DOM and WebGPU, module %s, moduleResolution %s',
  async (module, moduleResolution) => {
    const compilerOptions = {
      module,
      moduleResolution,
      target: 'es2022',
      lib: ['es2022'],
      types: [],
      strict: true,
      skipLibCheck: false,
      noEmit: true,
    };
    const config = `kernels-${module}.json`;
    writeFileSync(join(app.folder, config), JSON.stringify({ compilerOptions, files: ['kernels.ts'] }));
    const { stdout } = await run(process.execPath, [bin.tsc, '-p', config], { cwd: app.folder });
    expect(stdout).toBe('');
  },
);
