import { expect, it } from 'vitest';
import { init } from '../../src/gpu/init.ts';

it('init of the main entry point, where Node has no WebGPU, names the entry point for Node', async () => {
  await expect(init()).rejects.toMatchObject({
    code: 'no-webgpu',
    fix: expect.stringContaining("'webgpu-norm/node'"),
  });
});
