// The package's types in every TypeScript it supports, with the declarations of all packages checked too (skipLibCheck false).
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import { tscOf, typescripts } from '../../scripts/lib/typescripts.mjs';
import { type App, makeApp } from '../package/app.ts';
import { run } from '../package/run.ts';

const program = `
import { type Gpu, init, LayerNorm, NormError, saveStateDict, type Tensor } from 'webgpu-norm';
import { autotune } from 'webgpu-norm/autotune';
import { LocalProcessGroup, SyncBatchNorm } from 'webgpu-norm/distributed';
import { init as initInNode } from 'webgpu-norm/node';
import { SGD } from 'webgpu-norm/optim';
export async function main(device: GPUDevice, buffer: GPUBuffer) {
  const gpu: Gpu = await init({ device });
  const y: Tensor = new LayerNorm(gpu, 4, { eps: 1e-6 }).forward(gpu.wrap(buffer, [1, 4]));
  const values = await y.data();
  device.queue.writeBuffer(buffer, 0, values); // takes no view of a SharedArrayBuffer
  const [group] = LocalProcessGroup.create(1);
  if (group) console.log(new SyncBatchNorm(gpu, 4, { group }).training, (await group.allReduce(values))[0]);
  console.log(await initInNode({ dawn: ['backend=vulkan'] }), NormError, SGD, autotune, saveStateDict);
  // @ts-expect-error there is no such option
  new LayerNorm(gpu, 4, { epsilon: 1e-6 });
}
`;

/** Every entry point that needs no other package's types. */
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const needOthers = ['./distributed/nats', './onnxruntime', './tfjs', './typegpu'];
const entries = Object.keys(exports).filter(
  (path) => typeof exports[path] === 'object' && !needOthers.includes(path),
);

let app: App;
beforeAll(async () => {
  app = await makeApp(['@webgpu/types']);
  const imports = entries
    .map((path, i) => `export * as e${i} from 'webgpu-norm${path.slice(1)}';\n`)
    .join('');
  writeFileSync(join(app.folder, 'main.ts'), `${imports}${program}`);
});
afterAll(() => app?.remove());

describe.each(typescripts)('TypeScript %s', (version) => {
  const major = Number(version.split('.')[0]);
  const resolutions: [module: string, moduleResolution: string][] = [
    ['esnext', 'bundler'],
    ['nodenext', 'nodenext'],
  ];
  if (major < 7) resolutions.push(['esnext', 'node10']); // TypeScript 7 has no node10
  it.each(resolutions)('module %s, moduleResolution %s', async (module, moduleResolution) => {
    const config = `tsconfig-${version}-${moduleResolution}.json`;
    const compilerOptions = {
      module,
      moduleResolution,
      target: 'es2022',
      lib: ['es2022', 'dom'],
      // From TypeScript 6 on, `dom` itself declares WebGPU, and the two contradict each other.
      types: major < 6 ? ['@webgpu/types'] : [],
      strict: true,
      skipLibCheck: false,
      noEmit: true,
      ...(major === 6 && moduleResolution === 'node10' ? { ignoreDeprecations: '6.0' } : {}),
    };
    writeFileSync(join(app.folder, config), JSON.stringify({ compilerOptions, files: ['main.ts'] }));
    const { status, stdout } = await run(process.execPath, [tscOf(version), '-p', config], {
      cwd: app.folder,
    });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });
});
