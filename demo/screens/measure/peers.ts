// The libraries that the page measures beside this one, from where the page's build has put them.
import type { PeerSources } from '../../../bench/peers/index.ts';
import module from '../../../node_modules/onnxruntime-web/dist/ort.webgpu.min.mjs?url';
import mjs from '../../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.mjs?url';
import wasm from '../../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm?url';

const absolute = (url: string): string => new URL(url, import.meta.url).href;

export const peerSources: PeerSources = {
  onnxRuntime: { module: absolute(module), wasm: { mjs: absolute(mjs), wasm: absolute(wasm) } },
  tfjs: () => import('../../../bench/peers/tfjs-library.ts'),
};
