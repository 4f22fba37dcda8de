import { defineConfig } from 'vitest/config';
import { wgslModules } from './scripts/lib/wgsl-modules.mjs';

const demoInFirefox = 'test/demo/firefox.test.ts';
const demo = {
  environment: 'node',
  fileParallelism: false,
  sequence: { concurrent: false, shuffle: false },
  retry: 0,
} as const;

/** No test is to fail because the machine is busy: a test that hangs is given up after these, in milliseconds. */
const patience = { testTimeout: 300_000, hookTimeout: 300_000 };

export default defineConfig({
  plugins: [wgslModules()],
  test: {
    // What the GPU run says about its adapter should read as plain lines.
    disableConsoleIntercept: true,
    teardownTimeout: 20_000,
    ...patience,
    projects: [
      {
        extends: true,
        test: { name: 'cpu', include: ['test/cpu/**/*.test.ts'], environment: 'node' },
      },
      {
        // Against Python and PyTorch, which a newcomer need not have: `npm run test:python`.
        extends: true,
        test: { name: 'python', include: ['test/python/**/*.test.ts'], environment: 'node' },
      },
      {
        // One worker, one file, and one case at a time on each page or process, whose device all its cases share.
        extends: true,
        test: {
          name: 'gpu',
          include: ['test/gpu.test.ts'],
          environment: 'node',
          pool: 'forks',
          fileParallelism: false,
          sequence: { concurrent: false, shuffle: false },
          maxConcurrency: 2,
          retry: 0,
        },
      },
      {
        // Process groups over every transport, nats-server and other processes included.
        extends: true,
        test: {
          name: 'distributed',
          include: ['test/distributed/**/*.test.ts'],
          environment: 'node',
          pool: 'forks',
          retry: 0,
        },
      },
      {
        extends: true,
        test: {
          name: 'demo',
          include: ['test/demo/**/*.test.ts'],
          exclude: [demoInFirefox],
          ...demo,
        },
      },
      {
        // With the other engines, which a bare checkout may lack.
        extends: true,
        test: { name: 'demo-firefox', include: [demoInFirefox], ...demo },
      },
      {
        // Beside other libraries, in a browser: one page per file.
        extends: true,
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          environment: 'node',
          fileParallelism: false,
          sequence: { concurrent: false, shuffle: false },
          retry: 0,
        },
      },
      {
        // The package as npm packs it: needs `npm run build`.
        extends: true,
        test: {
          name: 'package',
          include: ['test/package/**/*.test.ts'],
          environment: 'node',
          fileParallelism: false,
          sequence: { concurrent: false, shuffle: false },
          retry: 0,
        },
      },
      {
        // The package's types in every TypeScript it supports, which are installed for it: `npm run test:typescript`.
        extends: true,
        test: {
          name: 'typescript',
          include: ['test/typescript/**/*.test.ts'],
          environment: 'node',
          retry: 0,
        },
      },
      {
        // Speed beside onnxruntime-web and tfjs: the better part of an hour, and a matter of the machine, so `npm test` leaves it out.
        extends: true,
        test: {
          name: 'bench',
          include: ['test/bench/**/*.test.ts'],
          environment: 'node',
          retry: 0,
          hookTimeout: 3_600_000,
        },
      },
    ],
  },
});
