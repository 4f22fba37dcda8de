import { defineConfig } from 'vite';
import { wgslModules } from './scripts/lib/wgsl-modules.mjs';

// Five uses of one file: `vite` serves the demo, `vite build` makes the library in dist/, `vite build --mode demo` makes the
// static demo page in dist-demo/, `vite build --mode doctor` the float64 reference of the tests in dist/doctor/, by which
// `npx webgpu-norm doctor` judges the GPU, and `vite build --mode single` the main entry as one minified file.
export default defineConfig(({ command, mode }) => {
  if (command === 'serve' || mode === 'demo') {
    return {
      root: 'demo',
      base: './',
      plugins: [wgslModules()],
      // The demo imports ../src, and through it ../shaders: outside its own root.
      server: { fs: { allow: ['..'] } },
      // Workers import what only some of them need.
      worker: { format: 'es', plugins: () => [wgslModules()] },
      build: { outDir: '../dist-demo', emptyOutDir: true, target: 'es2022' },
    };
  }
  if (mode === 'doctor') {
    const lib = { entry: { reference: 'test/reference/index.ts' }, formats: ['es' as const] };
    return { build: { target: 'es2022', outDir: 'dist/doctor', emptyOutDir: false, lib } };
  }
  if (mode === 'single') {
    // Not as a library: Vite keeps the whitespace of those that are ES modules.
    const rolldownOptions = {
      input: 'src/index.ts',
      preserveEntrySignatures: 'strict' as const,
      output: { entryFileNames: 'webgpu-norm.min.js', codeSplitting: false },
    };
    const output = {
      outDir: 'dist',
      emptyOutDir: false,
      copyPublicDir: false,
      modulePreload: false as const,
    };
    return { plugins: [wgslModules()], build: { target: 'es2022', ...output, rolldownOptions } };
  }
  return {
    plugins: [wgslModules()],
    build: {
      target: 'es2022',
      minify: false,
      sourcemap: true,
      lib: {
        entry: [
          'src/index.ts',
          'src/node.ts',
          'src/kernels.ts',
          'src/optim/index.ts',
          'src/autotune/index.ts',
          'src/distributed/index.ts',
          'src/distributed/nats.ts',
          'src/interop/onnxruntime.ts',
          'src/interop/tfjs.ts',
          'src/interop/typegpu.ts',
        ],
        formats: ['es'],
      },
      rolldownOptions: {
        external: /^(@nats-io\/|webgpu$|node:)/, // optional peer dependencies, and what Node brings
        output: {
          // One output file per source file: a bundler can then drop every norm, and every shader, that a
          // program does not import, and the .js tree matches the .d.ts tree that tsc writes beside it.
          preserveModules: true,
          preserveModulesRoot: 'src',
          entryFileNames: '[name].js',
        },
      },
    },
  };
});
